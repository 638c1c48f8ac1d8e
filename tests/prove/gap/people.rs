//! What people say while nobody hears it: commands that read and that change, in channels, threads and direct messages,
//! consent to what waits, and all that is no command.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::yard::Waits;
use crate::bot::{Bot, Home};

/// What changes something and is older does not run by itself: promised, and so not asked of the program.
const LATE_AFTER: Duration = Duration::from_secs(60);

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// May consent.
    Ana,
    Bo,
    /// Another app.
    App,
}

/// A platform by one of its doors.
#[async_trait]
pub(super) trait Platform: Clone + Send + Sync + 'static {
    /// A message with buttons.
    type Card: Send + Sync;

    /// Another one with the same door, where nobody said anything yet.
    async fn another(&self) -> Self;

    /// For people, with its door.
    fn name(&self) -> String;

    /// Sets a midwatch up for it.
    fn settings(&self, home: Home) -> Home;

    /// A channel in which midwatch is.
    fn channel(&self, number: usize) -> String;

    /// What midwatch's log holds, a line each, when it is all ears.
    fn says_that_it_listens(&self) -> &'static [&'static str];

    /// So many messages are given at most when a history is read, where it is the platform that says how many.
    fn gives_small_pages(&self, _size: usize) {}

    /// The channel in which somebody speaks to midwatch alone.
    fn direct(&self, who: Who) -> String;

    /// The same words, said to midwatch.
    fn to_us(&self, text: &str) -> String;

    /// Ana began a thread so long ago.
    fn begins_thread(&self, ago: Duration, channel: &str) -> String;

    /// Somebody wrote this so long ago, and nobody heard it.
    fn wrote(
        &self,
        ago: Duration,
        who: Who,
        channel: &str,
        thread: Option<&str>,
        text: &str,
    ) -> Written;

    /// They changed it; answers its key from now on.
    fn edited(&self, channel: &str, message: &Written, text: &str) -> String;

    /// They deleted it.
    fn deleted(&self, channel: &str, message: &Written);

    /// Somebody says this to midwatch now, and it is told.
    async fn mentions_now(
        &self,
        who: Who,
        channel: &str,
        thread: Option<&str>,
        text: &str,
    ) -> Written;

    /// Bo types a command that nobody hears, and is told so. What midwatch hears of it nevertheless when it returns.
    async fn slash_unheard(&self, channel: &str, name: &str, tag: &str) -> Option<Written>;

    /// Whether midwatch can be there, and deaf.
    fn can_be_deaf(&self) -> bool;

    /// From now on nothing reaches midwatch, for as long as that.
    fn is_deaf(&self, gap: Duration);

    /// It may connect again.
    fn hears_again(&self);

    /// Tells where midwatch is.
    fn connect(&self, bot: &Bot);

    /// What stands in a channel or thread, as people read it.
    fn shown(&self, channel: &str, thread: Option<&str>) -> Vec<(String, Self::Card)>;

    /// Somebody presses a button; told so often, and so late. Answers the key of it.
    async fn press(
        &self,
        who: Who,
        card: &Self::Card,
        label: &str,
        late: Option<Duration>,
        times: usize,
    ) -> String;

    /// Everything that a well-behaved app would not have done.
    fn violations(&self) -> Vec<String>;
}

/// A message that somebody wrote.
pub(super) struct Written {
    /// As the ledger should know it.
    pub(super) key: String,
    pub(super) sent_at: Timestamp,
    /// As the platform knows it.
    pub(super) id: String,
}

/// What is said, as it is said.
pub(super) enum Saying {
    /// A message, so long ago.
    Message {
        ago: Duration,
        who: Who,
        room: Room,
        place: Spot,
        text: String,
        tag: String,
        kind: Kind,
    },
    /// `/ops ring TAG`.
    Slash { tag: String },
}

/// Where it is said.
pub(super) enum Room {
    Channel(String),
    /// Where nobody else is.
    Direct,
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
    pub(super) fn new(tag: String, kind: Kind, channel: String, written: Written) -> Self {
        Self {
            tag,
            kind,
            key: written.key,
            sent_at: written.sent_at,
            channel,
            thread: None,
            pressed: false,
            press_keys: Vec::new(),
            late_presses: Vec::new(),
        }
    }

    /// Who presses which button when it was held.
    pub(super) fn button(&self) -> (Who, &'static str) {
        match self.kind {
            Kind::Consents(_) => (Who::Ana, "Do it now"),
            _ => (Who::Bo, "Run it now"),
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
pub(super) fn sayings<P: Platform>(
    platform: &P,
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
        .map(|(n, kind)| {
            let tag = format!("r{number:04}-{n:02}");
            message(platform, (n, tag), kind, gap, waits, random)
        })
        .collect();
    let tag = format!("r{number:04}-slash");
    sayings.push(Saying::Slash { tag });
    sayings
}

fn message<P: Platform>(
    platform: &P,
    (n, tag): (usize, String),
    kind: Kind,
    gap: Duration,
    waits: &Waits,
    random: &mut StdRng,
) -> Saying {
    // One in three within the last minute, where the gap is longer.
    let latest = if random.random_bool(0.3) {
        gap.min(LATE_AFTER)
    } else {
        gap
    };
    let ago = latest.mul_f64(random.random_range(0.0..1.0));
    let who = match kind {
        Kind::Consents(_) => Who::Ana,
        Kind::App => Who::App,
        _ => Who::Bo,
    };
    let mut room = Room::Channel(platform.channel(random.random_range(0..100)));
    let mut place = Spot::Top;
    let command = match &kind {
        Kind::Reads => format!("look {tag}"),
        Kind::Consents(reference) => {
            room = Room::Channel(waits.channel.clone());
            place = Spot::Thread(waits.thread.clone());
            format!("approve {reference}")
        }
        Kind::Asks => "runs".to_owned(),
        _ => format!("{} {tag}", ["ring", "tidy"].choose(random).expect("some")),
    };
    if matches!(place, Spot::Top) {
        let any = random.random_range(0..4);
        // One at least where nobody else is, and one in a thread.
        match [1, 0].get(n).copied().unwrap_or(any) {
            0 => place = Spot::ThreadOf(Duration::from_secs(random.random_range(1..80_000))),
            1 if ![Kind::Nothing, Kind::App].contains(&kind) => room = Room::Direct,
            _ => {}
        }
    }
    let text = match (&kind, &room) {
        (Kind::Nothing, _) if random.random_bool(0.5) => format!("who may {command}?"),
        (_, Room::Direct) => command,
        _ => platform.to_us(&command),
    };
    Saying::Message {
        ago,
        who,
        room,
        place,
        text,
        tag,
        kind,
    }
}

/// Somebody says this while nobody hears it; what is to be deleted or edited is. What midwatch has to hear of it, or to
/// leave alone.
pub(super) async fn say<P: Platform>(platform: &P, saying: Saying) -> Option<Typed> {
    let (ago, who, room, place, text, tag, kind) = match saying {
        Saying::Slash { tag } => {
            let channel = platform.channel(0);
            let heard = platform.slash_unheard(&channel, "ring", &tag).await?;
            return Some(Typed::new(tag, Kind::Changes, channel, heard));
        }
        Saying::Message {
            ago,
            who,
            room,
            place,
            text,
            tag,
            kind,
        } => (ago, who, room, place, text, tag, kind),
    };
    let channel = match room {
        Room::Channel(channel) => channel,
        Room::Direct => platform.direct(who),
    };
    let thread = match place {
        Spot::Top => None,
        Spot::Thread(thread) => Some(thread),
        Spot::ThreadOf(earlier) => Some(platform.begins_thread(ago + earlier, &channel)),
    };
    let mut written = platform.wrote(ago, who, &channel, thread.as_deref(), &text);
    match kind {
        Kind::Edited => written.key = platform.edited(&channel, &written, &text),
        Kind::Nothing if text.starts_with("<@") => platform.deleted(&channel, &written),
        _ => {}
    }
    let mut typed = Typed::new(tag, kind, channel, written);
    typed.thread = thread;
    Some(typed)
}
