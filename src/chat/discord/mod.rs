//! Discord: our messages in its markup. Its doors and its sending side are not here yet.

mod encode;

use serde_json::Value;

use crate::domain::{Form, Message, People};

/// A message as Discord's `create message` takes it, for a guild.
pub fn message(of: &Message, people: &People, guild: &str) -> Value {
    encode::message(of, people, guild)
}

/// A form as the modal that answers an interaction; an error when it doesn't fit into one.
pub fn form(of: &Form) -> Result<Value, String> {
    encode::form(of)
}
