//! A run's thread in each of its places: where it was asked for, and its mirrors.
//!
//! A mirror says the same, and its root message where the run began. Nobody is pinged in it but those whose consent is
//! asked for, who may give it there too; a person without an account there is named.

use super::{append, field, title, who};
use crate::domain::{Block, Message, Place, Platform, Posting, PostingKind, Run, Text};

/// What we owe to one of the run's places.
pub fn posting(run: &Run, to: &Place, kind: PostingKind, message: Message) -> Posting {
    let message = if kind == PostingKind::Root && *to != run.place {
        begun_elsewhere(run, message)
    } else {
        message
    };
    Posting {
        to: to.clone(),
        kind,
        run: Some(run.id),
        message,
    }
}

/// The same messages in each of the run's places, and in each in this order.
pub fn in_each_place(run: &Run, told: &[(PostingKind, Message)]) -> Vec<Posting> {
    let postings = run.places().flat_map(|to| {
        let told = told.iter().cloned();
        told.map(|(kind, message)| posting(run, to, kind, message))
    });
    postings.collect()
}

/// The root message of a mirror.
fn begun_elsewhere(run: &Run, mut message: Message) -> Message {
    let began = append(where_it_began(run).plain(", by "), who(&run.requester))
        .plain("; this thread mirrors the one there");
    let began = field("began", began);
    let fields = message.blocks.iter_mut().find_map(|block| match block {
        Block::Fields(fields) => Some(fields),
        _ => None,
    });
    match fields {
        Some(fields) => fields.insert(0, began),
        None => message.blocks.push(Block::Fields(vec![began])),
    }
    message
}

/// What somebody is told who did something to a run whose thread is not told where they said it.
pub fn done_from_elsewhere(run: &Run, done: &str) -> Message {
    let text = Text::new()
        .plain(format!("✓ {done} "))
        .code(title(&run.invocation))
        .plain(format!(" · ref {}; its thread is ", run.reference));
    Message::new(append(text, where_it_began(run)))
}

fn where_it_began(run: &Run) -> Text {
    let channel = run.place.channel.as_str();
    match run.place.platform {
        Platform::Slack => Text::new().plain("on Slack in ").code(channel),
        Platform::Discord => Text::new().plain("on Discord in ").code(channel),
        Platform::Console => Text::new().plain("at the console"),
        Platform::Api => Text::new().plain("over the API"),
    }
}
