//! What the encoders of all chat platforms share: how people are called, how much room there is, bars and moments.

mod cut;

use jiff::Timestamp;

use crate::domain::{People, PersonId, Platform, Span, Text, ThreadLink, harmless, harmless_line};

pub(super) use self::cut::{cut_in_the_middle, shortened};

const PROGRESS_CELLS: usize = 12;

/// How people are called in one space of a platform.
pub(super) struct Names<'a> {
    pub(super) people: &'a People,
    pub(super) platform: Platform,
    pub(super) space: &'a str,
    /// The space's own address, ending in `/`; empty where it isn't known.
    pub(super) home: &'a str,
}

impl Names<'_> {
    /// The person's account here: one of this very space before one that names none. `T0/U1` in the file, `U1` here.
    pub(super) fn account(&self, person: &PersonId) -> Option<String> {
        let accounts = self
            .people
            .persons
            .get(person)?
            .accounts
            .get(&self.platform)?;
        let here = accounts
            .iter()
            .filter_map(|account| account.split_once('/'));
        let here = here
            .filter(|(space, _)| *space == self.space)
            .map(|(_, id)| id);
        let anywhere = accounts.iter().filter(|account| !account.contains('/'));
        here.chain(anywhere.map(String::as_str))
            .next()
            .map(str::to_owned)
    }

    pub(super) fn name(&self, person: &PersonId) -> String {
        harmless_line(self.people.name(person))
    }

    /// Where a browser finds the thread; `None` where that can't be told here.
    pub(super) fn address(&self, thread: &ThreadLink) -> Option<String> {
        let (channel, message) = thread.message.split_once(':')?;
        let safe = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        if !safe(channel) || !safe(message) {
            return None;
        }
        let space = thread.place.space.as_str();
        match thread.place.platform {
            // The address of another workspace than ours is not ours to know.
            Platform::Slack if self.home.is_empty() || space != self.space => None,
            Platform::Slack => {
                let message = message.replace('.', "");
                Some(format!("{}archives/{channel}/p{message}", self.home))
            }
            Platform::Discord => {
                let guild = if space.is_empty() { "@me" } else { space };
                Some(format!(
                    "https://discord.com/channels/{guild}/{channel}/{message}"
                ))
                .filter(|_| safe(space))
            }
            Platform::Console | Platform::Api => None,
        }
    }

    /// Its words alone.
    pub(super) fn plain(&self, text: &Text) -> String {
        let spans = text.0.iter().map(|span| match span {
            Span::Plain(words) => harmless(words),
            Span::Bold(words) => harmless_line(words),
            Span::Code(words) => format!("`{}`", harmless_line(words)),
            Span::Person(person) => self.name(person),
            Span::Ping(person) => format!("@{}", self.name(person)),
            Span::Time(at) => absolute(*at),
            Span::Thread(thread) => self.address(thread).unwrap_or_else(|| whereabouts(thread)),
        });
        spans.collect()
    }
}

/// Where a thread is, for who has to look for it.
pub(super) fn whereabouts(thread: &ThreadLink) -> String {
    let channel = harmless_line(&thread.place.channel);
    match thread.place.platform {
        Platform::Slack => format!("its thread on Slack in {channel}"),
        Platform::Discord => format!("its thread on Discord in {channel}"),
        Platform::Console => "its lines at the console".to_owned(),
        Platform::Api => "its run over the API".to_owned(),
    }
}

/// With its zone.
pub(super) fn absolute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `▰▰▱ 2/3`.
pub(super) fn progress(done: usize, total: usize) -> String {
    let total = total.max(1);
    let done = done.min(total);
    let cells = total.min(PROGRESS_CELLS);
    let full = done * cells / total;
    format!(
        "{}{} {done}/{total}",
        "▰".repeat(full),
        "▱".repeat(cells - full)
    )
}
