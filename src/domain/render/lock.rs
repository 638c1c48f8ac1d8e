//! Locks that people take: what everybody reads, and what is said to whoever is held.

use jiff::Timestamp;

use super::{between, field};
use crate::domain::{Block, Button, LockTarget, Message, PersonId, PersonLock, Text, show_elapsed};

/// Everybody reads that it was taken.
pub fn locked(lock: &PersonLock) -> Message {
    let text = Text::new()
        .plain("🔒 ")
        .person(&lock.by)
        .plain(format!(" locked {} until ", lock.target.words()))
        .time(lock.until)
        .plain(format!(
            ": {}; changes by others are held until then",
            lock.reason
        ));
    Message::new(text).buttons(vec![unlock(&lock.target)])
}

/// Everybody reads that a person ended it.
pub fn unlocked(lock: &PersonLock, by: &PersonId, now: Timestamp) -> Message {
    let text = Text::new().plain("🔓 ").person(by);
    let text = text.plain(format!(
        " unlocked {} after {}; what was held may be asked for again",
        lock.target.words(),
        show_elapsed(between(lock.since, now))
    ));
    if *by == lock.by {
        return Message::new(text);
    }
    let told = Text::new().plain("it was locked by ").ping(&lock.by);
    Message::new(text).text(told.plain(format!(": {}", lock.reason)))
}

/// Everybody reads that its time is over.
pub fn lock_ended(lock: &PersonLock) -> Message {
    let text = Text::new()
        .plain(format!(
            "🔓 the lock on {} ended by itself; it was taken by ",
            lock.target.words()
        ))
        .ping(&lock.by)
        .plain(format!(
            ": {}; take it again if that still holds",
            lock.reason
        ));
    Message::new(text)
}

/// Which locks there are.
pub fn locks(target: &LockTarget, locks: &[PersonLock], now: Timestamp) -> Message {
    let first = match locks {
        [] => format!("🔓 nothing of {} is locked by a person; ", target.project),
        some => format!(
            "🔒 {} of {} locked by a person; ",
            counted(some.len()),
            target.project
        ),
    };
    let how = format!("/ops lock {} 2h WHY", target.typed());
    let message = Message::new(
        Text::new()
            .plain(first)
            .plain("take a lock with ")
            .code(how),
    );
    if locks.is_empty() {
        return message;
    }
    let fields = locks
        .iter()
        .map(|lock| field(&lock.target.words(), about(lock, now)));
    message.with(Block::Fields(fields.collect()))
}

fn counted(locks: usize) -> String {
    if locks == 1 {
        "one part".to_owned()
    } else {
        format!("{locks} parts")
    }
}

/// Holder, reason, age, end.
pub(super) fn about(lock: &PersonLock, now: Timestamp) -> Text {
    Text::new()
        .plain("by ")
        .person(&lock.by)
        .plain(format!(
            " for {} now: {}; it ends ",
            show_elapsed(between(lock.since, now)),
            lock.reason
        ))
        .time(lock.until)
}

pub(super) fn unlock(target: &LockTarget) -> Button {
    Button::danger("Unlock", format!("unlock {}", target.typed()))
}
