//! What people say while nobody hears it: commands that read and that change, in channels, threads and direct messages,
//! consent to what waits, and all that is no command.

use std::time::Duration;

use jiff::Timestamp;
use midwatch::domain::LATE_AFTER;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::yard::{ANA, BO, CHANNELS, Waits};
use crate::fakes::slack::{BOT_USER, FakeSlack, OTHER_BOT, TEAM};

/// What is said, as it is said.
pub(super) enum Saying {
    /// A message, so long ago.
    Message {
        ago: Duration,
        user: &'static str,
        channel: String,
        place: Spot,
        text: String,
        tag: String,
        kind: Kind,
    },
    /// `/ops TEXT`.
    Slash { user: &'static str, text: String },
}

/// Where in a channel.
pub(super) enum Spot {
    Top,
    /// In the thread of a message that was written so much earlier.
    ThreadOf(Duration),
    /// In this thread.
    Thread(String),
}

/// What must come of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A command that only reads.
    Reads,
    /// A command that changes something.
    Changes,
    /// A command that waits for consent.
    Waits,
    /// Consent to the run of this reference.
    Consents(String),
    /// A question.
    Asks,
    /// A command, edited before it was read.
    Edited,
    /// Another app's.
    App,
    /// Not to us, or deleted.
    Nothing,
}

/// What was said, and what is known of it since.
pub(super) struct Typed {
    pub(super) tag: String,
    pub(super) kind: Kind,
    pub(super) key: String,
    pub(super) sent_at: Timestamp,
    pub(super) channel: String,
    pub(super) thread: Option<String>,
    /// What a fresh press of the card's button says is done.
    pub(super) pressed: bool,
    pub(super) press_keys: Vec<String>,
    pub(super) late_presses: Vec<String>,
}

impl Typed {
    pub(super) fn new(tag: String, kind: Kind, channel: String, ts: &str) -> Self {
        Self {
            tag,
            kind,
            key: format!("slack:{TEAM}:{channel}:{ts}"),
            sent_at: moment(ts),
            channel,
            thread: None,
            pressed: false,
            press_keys: Vec::new(),
            late_presses: Vec::new(),
        }
    }

    /// Who presses which button when it was held.
    pub(super) fn button(&self) -> (&'static str, &'static str) {
        match self.kind {
            Kind::Consents(_) => (ANA, "Do it now"),
            _ => (BO, "Run it now"),
        }
    }

    /// What the card that asks again names.
    pub(super) fn asked_again_as(&self) -> &str {
        match &self.kind {
            Kind::Consents(reference) => reference,
            _ => &self.tag,
        }
    }
}

/// Whether it was too old to be done at that moment.
pub(super) fn is_late(typed: &Typed, at: Timestamp) -> bool {
    Duration::try_from(at.duration_since(typed.sent_at)).is_ok_and(|age| age > LATE_AFTER)
}

/// What is said in one gap. Some of everything, so that no round proves nothing.
pub(super) fn sayings(
    number: u32,
    gap: Duration,
    waits: &Waits,
    random: &mut StdRng,
) -> Vec<Saying> {
    let mut kinds = vec![
        Kind::Reads,
        Kind::Changes,
        Kind::Changes,
        Kind::Consents(waits.reference.clone()),
        Kind::Nothing,
    ];
    let more = [
        Kind::Reads,
        Kind::Changes,
        Kind::Changes,
        Kind::Asks,
        Kind::Edited,
        Kind::App,
        Kind::Nothing,
    ];
    for _ in 0..random.random_range(1..5) {
        kinds.extend(more.choose(random).cloned());
    }
    let mut sayings: Vec<Saying> = kinds
        .into_iter()
        .enumerate()
        .map(|(n, kind)| message(format!("r{number:04}-{n:02}"), kind, gap, waits, random))
        .collect();
    sayings.push(Saying::Slash {
        user: BO,
        text: format!("ring r{number:04}-slash"),
    });
    sayings
}

fn message(tag: String, kind: Kind, gap: Duration, waits: &Waits, random: &mut StdRng) -> Saying {
    // One in three within the last minute, where the gap is longer.
    let latest = if random.random_bool(0.3) {
        gap.min(LATE_AFTER)
    } else {
        gap
    };
    let ago = latest.mul_f64(random.random_range(0.0..1.0));
    let user = if matches!(kind, Kind::Consents(_)) {
        ANA
    } else {
        BO
    };
    let (mut channel, mut place) = (
        (*CHANNELS.choose(random).expect("some")).to_owned(),
        Spot::Top,
    );
    let command = match &kind {
        Kind::Reads => format!("look {tag}"),
        Kind::Consents(reference) => {
            channel = waits.channel.to_owned();
            place = Spot::Thread(waits.thread.clone());
            format!("approve {reference}")
        }
        Kind::Asks => "runs".to_owned(),
        _ => format!("{} {tag}", ["ring", "tidy"].choose(random).expect("some")),
    };
    if matches!(place, Spot::Top) {
        match random.random_range(0..4) {
            0 => place = Spot::ThreadOf(Duration::from_secs(random.random_range(1..80_000))),
            1 if kind != Kind::Nothing => channel = format!("D{user}"),
            _ => {}
        }
    }
    let text = match &kind {
        Kind::Nothing if random.random_bool(0.5) => format!("who may {command}?"),
        _ if channel.starts_with('D') => command,
        _ => format!("<@{BOT_USER}> {command}"),
    };
    Saying::Message {
        ago,
        user,
        channel,
        place,
        text,
        tag,
        kind,
    }
}

/// Writes it; what is to be deleted or edited is.
pub(super) fn write(slack: &FakeSlack, saying: Saying) -> Typed {
    let Saying::Message {
        ago,
        user,
        channel,
        place,
        text,
        tag,
        kind,
    } = saying
    else {
        unreachable!("a slash command is not written down");
    };
    if channel.starts_with('D') {
        slack.add_channel(&channel, true);
    }
    let thread = match place {
        Spot::Top => None,
        Spot::Thread(thread) => Some(thread),
        Spot::ThreadOf(earlier) => {
            Some(slack.wrote_before(ago + earlier, ANA, &channel, None, "about the weather"))
        }
    };
    let author = if kind == Kind::App { OTHER_BOT } else { user };
    let ts = slack.wrote_before(ago, author, &channel, thread.as_deref(), &text);
    let mut typed = Typed::new(tag, kind, channel, &ts);
    typed.thread = thread;
    match typed.kind {
        Kind::Edited => {
            let edited = slack.edited_before(&typed.channel, &ts, &text);
            typed.key = format!("{}:edited:{edited}", typed.key);
        }
        Kind::Nothing if text.starts_with("<@") => slack.delete_message(&typed.channel, &ts),
        _ => {}
    }
    typed
}

fn moment(ts: &str) -> Timestamp {
    let micros: i64 = ts.replace('.', "").parse().expect("digits");
    Timestamp::from_microsecond(micros).expect("a moment")
}
