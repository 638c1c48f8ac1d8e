//! Encodes a message as text for a terminal.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::chat::encode::whereabouts;
use crate::domain::{
    Block, Button, Field, Message, People, PersonId, Span, Text, harmless, harmless_line,
};
use crate::planted;

/// How messages look on one terminal at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Paint<'a> {
    /// Whether escape codes for colours are written: standard output is a terminal and `NO_COLOR` isn't set.
    pub colour: bool,
    /// Names of persons.
    pub people: &'a People,
    /// Moments are also told relative to this one.
    pub now: Timestamp,
    /// How many cells a line has, where it is known. A terminal breaks what is longer, and the rest would begin where
    /// our own lines do: output is broken before, behind its mark.
    pub columns: Option<usize>,
}

/// The widest progress bar, in cells.
const LONGEST_BAR: usize = 20;
/// Output is given so many cells, however narrow the terminal is.
const NARROWEST: usize = 16;
/// Cells between two tab stops.
const TAB: usize = 8;

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Cyan,
    Yellow,
    Dim,
}

impl Paint<'_> {
    /// The message as lines, without a line break at the end.
    pub fn message(&self, message: &Message) -> String {
        let lines: Vec<String> = message
            .blocks
            .iter()
            .flat_map(|block| self.block(block))
            .collect();
        lines.join("\n")
    }

    fn block(&self, block: &Block) -> Vec<String> {
        match block {
            Block::Text(text) => vec![self.text(text)],
            Block::Fields(fields) => self.fields(fields),
            Block::Output(output) => self.output(output),
            Block::Progress { done, total } => vec![bar(*done, *total)],
            Block::Buttons(buttons) => self.buttons(buttons),
        }
    }

    fn text(&self, text: &Text) -> String {
        text.0.iter().map(|span| self.span(span)).collect()
    }

    fn span(&self, span: &Span) -> String {
        match span {
            Span::Plain(words) => harmless(words),
            Span::Bold(words) => self.styled(Style::Bold, &harmless_line(words)),
            Span::Code(words) => self.styled(Style::Cyan, &harmless_line(words)),
            Span::Person(person) => self.name(person),
            Span::Ping(person) => self.styled(Style::Yellow, &format!("@{}", self.name(person))),
            Span::Time(at) => moment(*at, self.now),
            Span::Thread(thread) => harmless_line(&whereabouts(thread)),
        }
    }

    fn name(&self, person: &PersonId) -> String {
        harmless_line(self.people.name(person))
    }

    fn fields(&self, fields: &[Field]) -> Vec<String> {
        let labels: Vec<String> = fields
            .iter()
            .map(|field| harmless_line(&field.label))
            .collect();
        let widest = widest(&labels);
        let lines = labels.iter().zip(fields).map(|(label, field)| {
            let gap = " ".repeat(widest - label.width());
            // A value of several lines stays in its column.
            let value = self
                .text(&field.value)
                .replace('\n', &format!("\n{}", " ".repeat(widest + 4)));
            format!("  {}{gap}  {value}", self.styled(Style::Dim, label))
        });
        lines.collect()
    }

    fn output(&self, output: &str) -> Vec<String> {
        let [begins, goes_on] = ["│", "┊"].map(|mark| self.styled(Style::Dim, mark));
        let mut lines = Vec::new();
        for line in harmless(output).lines() {
            for (position, piece) in self.pieces(line).into_iter().enumerate() {
                let mark = if position == 0 { &begins } else { &goes_on };
                lines.push(format!("  {mark} {piece}").trim_end().to_owned());
            }
        }
        lines
    }

    /// The line in pieces that fit behind the mark; never none.
    fn pieces(&self, line: &str) -> Vec<String> {
        let Some(columns) = self.columns.filter(|_| !planted::is("long-line-unbroken")) else {
            return vec![line.to_owned()];
        };
        let room = columns.saturating_sub(4).max(NARROWEST);
        let (mut pieces, mut piece, mut used) = (Vec::new(), String::new(), 0);
        for c in line.chars() {
            let cells = match c {
                '\t' => TAB - used % TAB,
                // Some terminals show the sign before it wider.
                '\u{fe0f}' => 1,
                _ => c.width().unwrap_or(0),
            };
            if used + cells > room {
                pieces.push(std::mem::take(&mut piece));
                used = 0;
            }
            match c {
                '\t' => piece.extend(std::iter::repeat_n(' ', cells)),
                _ => piece.push(c),
            }
            used += cells;
        }
        pieces.push(piece);
        pieces
    }

    /// A terminal has no buttons: it says what to type.
    fn buttons(&self, buttons: &[Button]) -> Vec<String> {
        let says: Vec<String> = buttons
            .iter()
            .map(|button| format!("/ops {}", harmless_line(&button.says)))
            .collect();
        let widest = widest(&says);
        let lines = says.iter().zip(buttons).map(|(says, button)| {
            let gap = " ".repeat(widest - says.width());
            let typed = self.styled(Style::Cyan, says);
            format!(
                "  → type: {typed}{gap}   ({})",
                harmless_line(&button.label)
            )
        });
        lines.collect()
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => "1",
            Style::Cyan => "36",
            Style::Yellow => "1;33",
            Style::Dim => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn widest(texts: &[String]) -> usize {
    texts.iter().map(|text| text.width()).max().unwrap_or(0)
}

fn bar(done: usize, total: usize) -> String {
    let cells = total.clamp(1, LONGEST_BAR);
    let full = done.min(total).saturating_mul(cells) / total.max(1);
    format!(
        "  {}{} {done}/{total}",
        "▰".repeat(full),
        "▱".repeat(cells - full)
    )
}

/// `03:12 UTC (2 min ago)`, with the date when it is another day.
fn moment(at: Timestamp, now: Timestamp) -> String {
    let (shown, today) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let format = if shown.date() == today.date() {
        "%H:%M UTC"
    } else {
        "%Y-%m-%d %H:%M UTC"
    };
    format!("{} ({})", shown.strftime(format), distance(at, now))
}

/// `2 min ago`, `in 15 min`.
pub fn distance(at: Timestamp, now: Timestamp) -> String {
    let secs = now.duration_since(at).as_secs();
    let span = match secs.unsigned_abs() {
        0..=1 => return "now".to_owned(),
        n @ 2..=59 => format!("{n} s"),
        n @ 60..=3_599 => format!("{} min", n / 60),
        n @ 3_600..=172_799 => format!("{} h", n / 3_600),
        n => format!("{} days", n / 86_400),
    };
    if secs < 0 {
        format!("in {span}")
    } else {
        format!("{span} ago")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_with_its_zone_and_how_far_away_it_is() {
        let now: Timestamp = "2026-11-20T03:14:00Z".parse().unwrap();
        for (at, told) in [
            ("2026-11-20T03:14:00Z", "03:14 UTC (now)"),
            ("2026-11-20T03:13:20Z", "03:13 UTC (40 s ago)"),
            ("2026-11-20T03:12:00Z", "03:12 UTC (2 min ago)"),
            ("2026-11-20T03:29:00Z", "03:29 UTC (in 15 min)"),
            ("2026-11-19T23:14:00Z", "2026-11-19 23:14 UTC (4 h ago)"),
            ("2026-11-10T03:14:00Z", "2026-11-10 03:14 UTC (10 days ago)"),
        ] {
            assert_eq!(moment(at.parse().unwrap(), now), told);
        }
    }

    #[test]
    fn a_bar_is_never_wider_than_its_limit_and_never_wrong() {
        for (done, total, shown) in [
            (0, 2, "  ▱▱ 0/2"),
            (2, 4, "  ▰▰▱▱ 2/4"),
            (4, 4, "  ▰▰▰▰ 4/4"),
            (9, 4, "  ▰▰▰▰ 9/4"),
            (0, 0, "  ▱ 0/0"),
            (50, 100, "  ▰▰▰▰▰▰▰▰▰▰▱▱▱▱▱▱▱▱▱▱ 50/100"),
        ] {
            assert_eq!(bar(done, total), shown, "{done} of {total}");
        }
    }

    #[test]
    fn output_stays_behind_its_mark_in_every_line_of_the_terminal() {
        let people = People::default();
        let paint = |columns| Paint {
            colour: false,
            people: &people,
            now: Timestamp::UNIX_EPOCH,
            columns,
        };
        let shown = paint(Some(20)).output("0123456789abcdef✅ done\n\n\tx\n表表表表表表表表表\n");
        assert_eq!(
            shown,
            [
                "  │ 0123456789abcdef",
                "  ┊ ✅ done",
                "  │",
                "  │         x",
                "  │ 表表表表表表表表",
                "  ┊ 表",
            ]
        );
        let long = "x".repeat(500);
        assert_eq!(paint(None).output(&long), [format!("  │ {long}")]);
    }
}
