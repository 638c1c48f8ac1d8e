//! Makes foreign text safe to show: no terminal controls, no bidi or invisible characters, no endless lines.
//!
//! Streaming: however the text is cut into chunks, the result is the same.

use std::fmt::Write as _;

use crate::planted;

/// Characters of a line that are shown; the rest is counted.
pub const LONGEST_LINE: usize = 2_000;

/// Cleans a whole text.
pub fn clean(text: &str) -> String {
    let (mut controls, mut lines) = (ControlFilter::default(), Lines::default());
    let mut cleaned = lines.push(&controls.push(text));
    cleaned.push_str(&lines.finish());
    cleaned
}

/// What people wrote, for a message: without control and invisible characters. Line breaks and tabs stay.
pub fn harmless(text: &str) -> String {
    let shown = text.chars().filter_map(|c| match c {
        '\r' => None,
        '\u{2028}' | '\u{2029}' => Some(' '),
        _ => visible(c),
    });
    shown.collect()
}

/// The same on one line: a name, or what was typed, begins no line of its own.
pub fn harmless_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

/// Removes control sequences and invisible characters; keeps `\n`, `\t` and `\r`.
#[derive(Debug, Default)]
pub struct ControlFilter {
    state: State,
}

/// Where in a control sequence we are (ECMA-48, as terminals read it).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and intermediate bytes.
    Intermediate,
    /// After `ESC [`, until a final byte.
    Sequence,
    /// In an OSC, DCS, SOS, PM or APC string, until its terminator.
    Text,
    /// After ESC in such a string.
    TextEscape,
}

impl ControlFilter {
    /// What remains of the next chunk.
    pub fn push(&mut self, chunk: &str) -> String {
        let mut kept = String::with_capacity(chunk.len());
        for c in chunk.chars() {
            if let Some(c) = self.step(c) {
                kept.push(c);
            }
        }
        kept
    }

    /// Takes one character; gives what is shown of it. A line break ends any sequence: an unfinished one hides no lines.
    fn step(&mut self, c: char) -> Option<char> {
        let (next, shown) = match (self.state, c) {
            (_, '\n' | '\r') => (State::Ground, Some(c)),
            // The terminators of a string.
            (State::Text, '\u{1b}') => (State::TextEscape, None),
            (State::Text, '\u{07}' | '\u{18}' | '\u{1a}' | '\u{9c}')
            // The end of a sequence.
            | (State::TextEscape, '\\')
            | (State::Sequence, '@'..='~') => (State::Ground, None),
            // What begins a string, and what is in one.
            (State::Text, _)
            | (_, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}')
            | (State::Escape | State::TextEscape, ']' | 'P' | 'X' | '^' | '_') => {
                (State::Text, None)
            }
            (_, '\u{1b}') => (State::Escape, None),
            // What begins a sequence, and its parameters.
            (_, '\u{9b}')
            | (State::Escape | State::TextEscape, '[')
            | (State::Sequence, ' '..='?') => (State::Sequence, None),
            (State::Escape | State::TextEscape | State::Intermediate, ' '..='/') => {
                (State::Intermediate, None)
            }
            (State::Escape | State::TextEscape | State::Intermediate, '0'..='~') => {
                (State::Ground, None)
            }
            _ => (State::Ground, visible(c)),
        };
        self.state = next;
        shown
    }
}

/// What is shown of a character outside of control sequences.
fn visible(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\r' => Some(c),
        '\u{202a}'..='\u{202e}' if planted::is("overrides-shown") => Some(c),
        '\u{2028}' | '\u{2029}' => Some('\n'), // line and paragraph separator
        '\u{0}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{ad}' // soft hyphen
        | '\u{34f}' // combining grapheme joiner
        | '\u{61c}' // Arabic letter mark
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
        | '\u{17b4}' | '\u{17b5}' // Khmer inherent vowels
        | '\u{180b}'..='\u{180f}' // Mongolian selectors and vowel separator
        | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
        | '\u{202a}'..='\u{202e}' // bidi embeddings and overrides
        | '\u{2060}'..='\u{206f}' // word joiner, bidi isolates, invisible operators
        | '\u{fe00}'..='\u{fe0d}' // variation selectors, but for those between a coloured sign and a plain one
        | '\u{feff}' // byte order mark
        | '\u{fff0}'..='\u{fffb}' // kept for invisible ones, and interlinear annotation
        | '\u{1bca0}'..='\u{1bca3}' // shorthand format controls
        | '\u{1d173}'..='\u{1d17a}' // musical format controls
        | '\u{e0000}'..='\u{e0fff}' // tags and the selectors that smuggle text
        => None,
        _ => Some(c),
    }
}

/// Gives whole lines: a lone `\r` starts the line again, and what is longer than [`LONGEST_LINE`] is cut and counted.
#[derive(Debug, Default)]
pub struct Lines {
    line: String,
    length: usize,
    /// A `\r` came; what follows says whether it belongs to a line break.
    carriage_return: bool,
}

impl Lines {
    /// The lines that this chunk completes, each with its `\n`.
    pub fn push(&mut self, chunk: &str) -> String {
        let mut lines = String::with_capacity(chunk.len());
        for c in chunk.chars() {
            match c {
                '\n' => {
                    self.end_line(&mut lines);
                    lines.push('\n');
                }
                '\r' => self.carriage_return = true,
                _ => self.append(c),
            }
        }
        lines
    }

    /// The last line, when it has no line break.
    pub fn finish(&mut self) -> String {
        let mut last = String::new();
        self.end_line(&mut last);
        last
    }

    fn append(&mut self, c: char) {
        if self.carriage_return {
            self.carriage_return = false;
            self.line.clear();
            self.length = 0;
        }
        if self.length < LONGEST_LINE {
            self.line.push(c);
        }
        self.length += 1;
    }

    fn end_line(&mut self, lines: &mut String) {
        self.carriage_return = false;
        lines.push_str(&self.line);
        if self.length > LONGEST_LINE {
            let more = self.length - LONGEST_LINE;
            let _ = write!(lines, "… [{more} more characters]"); // writing into a String can't fail
        }
        self.line.clear();
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_acts_or_hides_survives() {
        for (name, given, shown) in [
            ("plain text", "flushed 3 of 3\n", "flushed 3 of 3\n"),
            ("tabs stay", "a\tb", "a\tb"),
            ("colour", "\x1b[1;31mred\x1b[0m", "red"),
            ("colour with colons", "\x1b[38:2:255:0:0mred", "red"),
            ("clear screen", "a\x1b[2J\x1b[Hb", "ab"),
            ("title", "\x1b]0;evil\x07shown", "shown"),
            (
                "hyperlink",
                "\x1b]8;;https://x.y\x1b\\text\x1b]8;;\x1b\\",
                "text",
            ),
            ("device control", "\x1bPq#0;2\x1b\\after", "after"),
            ("charset choice", "\x1b(0lq\x1b(B", "lq"),
            ("single escapes", "\x1b7a\x1bMb\x1b=", "ab"),
            ("an escape inside a sequence", "\x1b[31\x1b[0mx", "x"),
            ("C1 sequence", "\u{9b}31mred", "red"),
            ("C1 string", "\u{9d}0;evil\u{9c}shown", "shown"),
            (
                "an unfinished string ends with its line",
                "\x1b]0;evil\nnext\n",
                "\nnext\n",
            ),
            (
                "an unfinished sequence ends with its line",
                "\x1b[31\nnext\n",
                "\nnext\n",
            ),
            (
                "a sequence cut by a letter of another script",
                "\x1b[3émore",
                "émore",
            ),
            ("controls", "a\x00\x07\x08\x0b\x0c\x7f\u{85}b", "ab"),
            (
                "right-to-left override",
                "safe\u{202e}exe.txt",
                "safeexe.txt",
            ),
            (
                "isolates and marks",
                "\u{2066}a\u{2069}\u{200e}b\u{200f}\u{61c}",
                "ab",
            ),
            ("zero width", "r\u{200b}o\u{200d}o\u{feff}t\u{2060}", "root"),
            ("tags", "a\u{e0041}\u{e007f}b", "ab"),
            ("a coloured heart stays whole", "❤\u{fe0f}", "❤\u{fe0f}"),
            (
                "selectors that smuggle text",
                "a\u{fe00}\u{fe0d}\u{fff0}b",
                "ab",
            ),
            (
                "separators break the line",
                "a\u{2028}b\u{2029}c",
                "a\nb\nc",
            ),
            ("windows line ends", "a\r\nb\r\n", "a\nb\n"),
            (
                "a progress bar shows its last state",
                "10%\r50%\r100%\n",
                "100%\n",
            ),
            ("two returns before a line break", "a\r\r\nb", "a\nb"),
            ("a return at the end keeps the line", "50%\r", "50%"),
            ("empty lines stay", "\n\n", "\n\n"),
        ] {
            assert_eq!(clean(given), shown, "{name}");
        }
    }

    #[test]
    fn what_people_wrote_neither_acts_nor_begins_a_line() {
        for (name, given, shown) in [
            ("plain", "it is 3 o'clock", "it is 3 o'clock"),
            ("override", "safe\u{202e}exe", "safeexe"),
            ("escape", "a\x1b[31mb", "a[31mb"),
            ("separators", "a\u{2028}b\u{2029}c", "a b c"),
            ("a line break", "Ana\r\n✅ done", "Ana ✅ done"),
        ] {
            assert_eq!(harmless_line(given), shown, "{name}");
        }
        assert_eq!(harmless("two\r\nlines"), "two\nlines");
    }

    #[test]
    fn a_long_line_is_cut_and_counted() {
        let given = format!("{}\nnext\n", "é".repeat(LONGEST_LINE + 5));
        let shown = format!("{}… [5 more characters]\nnext\n", "é".repeat(LONGEST_LINE));
        assert_eq!(clean(&given), shown);
        let fits = "x".repeat(LONGEST_LINE);
        assert_eq!(clean(&fits), fits);
    }

    /// Text that is rich in what matters here.
    fn nasty() -> impl Strategy<Value = Vec<String>> {
        let piece = prop_oneof![
            Just("\x1b".to_owned()),
            Just("\x1b[31m".to_owned()),
            Just("\x1b]8;;x".to_owned()),
            Just("\\".to_owned()),
            Just("\r".to_owned()),
            Just("\n".to_owned()),
            Just("\u{202e}".to_owned()),
            Just("\u{9b}".to_owned()),
            any::<char>().prop_map(String::from),
            "[ -~]{0,9}",
        ];
        proptest::collection::vec(piece, 0..40)
    }

    proptest! {
        #[test]
        fn the_cut_into_chunks_does_not_matter_and_nothing_acts(chunks in nasty()) {
            let (mut controls, mut lines) = (ControlFilter::default(), Lines::default());
            let mut streamed: String = chunks
                .iter()
                .map(|chunk| lines.push(&controls.push(chunk)))
                .collect();
            streamed.push_str(&lines.finish());
            prop_assert_eq!(&streamed, &clean(&chunks.concat()));
            for c in streamed.chars() {
                prop_assert!(!c.is_control() || c == '\n' || c == '\t', "{:?}", c);
                let bidi = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                let mark = matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}');
                prop_assert!(!bidi && !mark, "{:?}", c);
            }
            prop_assert_eq!(clean(&streamed), streamed);
        }
    }
}
