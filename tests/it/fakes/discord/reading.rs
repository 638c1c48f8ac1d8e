//! Reading what was said: one message, or a page of them.

use std::time::Duration;

use super::messages::{Posted, mentioned};
use super::rest::{Answer, Refused, Request};
use super::{BOT_USER, EPOCH_MS, FakeDiscord, State, permission};

pub(super) fn one(state: &mut State, channel: &str, id: &str) -> Answer {
    let here = state.visible(channel)?;
    state.permit(&here, permission::READ_MESSAGE_HISTORY)?;
    let message = state.message(channel, id)?;
    Ok((200, state.message_json(message, false)))
}

/// A page of messages, newest first.
pub(super) fn page(state: &mut State, request: &Request, channel: &str) -> Answer {
    let here = state.visible(channel)?;
    let number = |name: &str| {
        request
            .query
            .get(name)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let limit = number("limit").unwrap_or(50);
    if !(1..=100).contains(&limit) {
        return Err(Refused::form(
            "limit",
            "NUMBER_TYPE_MAX",
            "int value should be between 1 and 100.",
        ));
    }
    let limit = usize::try_from(limit).unwrap();
    // Who may not read the history sees none.
    let readable = state.allowed(&here) & permission::READ_MESSAGE_HISTORY != 0;
    let mut all: Vec<(u64, &Posted)> = state
        .messages
        .iter()
        .filter(|it| readable && it.channel == channel && it.only_for.is_none())
        .map(|it| (it.id.parse().unwrap(), it))
        .collect();
    all.sort_by_key(|(id, _)| *id);
    let range = match (number("around"), number("before"), number("after")) {
        (Some(around), ..) => {
            let at = all.partition_point(|(id, _)| *id < around);
            let from = at.saturating_sub(limit / 2);
            from..(from + limit).min(all.len())
        }
        (None, Some(before), _) => {
            let to = all.partition_point(|(id, _)| *id < before);
            to.saturating_sub(limit)..to
        }
        (None, None, Some(after)) => {
            let from = all.partition_point(|(id, _)| *id <= after);
            from..(from + limit).min(all.len())
        }
        (None, None, None) => all.len().saturating_sub(limit)..all.len(),
    };
    let newest_first = all[range].iter().rev();
    Ok((
        200,
        newest_first
            .map(|(_, message)| state.message_json(message, false))
            .collect(),
    ))
}

impl FakeDiscord {
    /// Somebody wrote `@bot TEXT` some time ago, and we are told only now.
    pub(crate) fn mentioned_before(&self, ago: Duration, channel: &str, user: &str, text: &str) {
        let mut state = self.state();
        let at_ms = state.now_ms() - i64::try_from(ago.as_millis()).unwrap();
        let content = format!("<@{BOT_USER}> {text}");
        let message = Posted {
            id: ((at_ms - EPOCH_MS) << 22).to_string(),
            at_ms,
            channel: channel.to_owned(),
            author: user.to_owned(),
            pings: mentioned(&content),
            content,
            ..Posted::default()
        };
        state.keep(message);
        drop(state);
        self.inner.changed();
    }
}
