//! What the encoders of all chat platforms share: how people are called, how much room there is, bars and moments.

mod cut;

use jiff::Timestamp;

use crate::domain::{People, PersonId, Platform, Span, Text, harmless, harmless_line};

pub(super) use self::cut::{cut_in_the_middle, shortened};

const PROGRESS_CELLS: usize = 12;

/// How people are called in one space of a platform.
pub(super) struct Names<'a> {
    pub(super) people: &'a People,
    pub(super) platform: Platform,
    pub(super) space: &'a str,
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

    /// Its words alone.
    pub(super) fn plain(&self, text: &Text) -> String {
        let spans = text.0.iter().map(|span| match span {
            Span::Plain(words) => harmless(words),
            Span::Bold(words) => harmless_line(words),
            Span::Code(words) => format!("`{}`", harmless_line(words)),
            Span::Person(person) => self.name(person),
            Span::Ping(person) => format!("@{}", self.name(person)),
            Span::Time(at) => absolute(*at),
        });
        spans.collect()
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
