//! A text without what wrapping and quoting put into it: line breaks, the indentation after them, backslashes.
//!
//! `\n` and `\r` are line breaks too, and `\t` is a tab, however many backslashes stand before the letter: so a text that was
//! quoted once, twice or not at all is bare the same.

use super::UNBROKEN;

/// A bare text, and where its bytes stood in the raw one.
pub(super) struct Bare {
    pub(super) text: String,
    /// In order; between two of them bare and raw text run alike.
    seams: Vec<Seam>,
    /// Where the last byte ended in the raw text.
    ended: usize,
    /// Whether a line break stood after it.
    ends_broken: bool,
    /// The raw text up to here; only a backslash may stand behind it, of which the next character says what it is.
    decided: usize,
}

/// From one byte of the bare text on.
#[derive(Clone, Copy)]
struct Seam {
    bare: usize,
    raw: usize,
    /// Where the byte before ended in the raw text.
    ended: usize,
    /// Whether a line break stood between them.
    broken: bool,
}

impl Bare {
    pub(super) fn of(raw: &str) -> Self {
        let bytes = raw.as_bytes();
        let mut bare = Self {
            text: String::with_capacity(raw.len()),
            seams: Vec::new(),
            ended: 0,
            ends_broken: false,
            decided: raw.len() - usize::from(bytes.ends_with(b"\\")),
        };
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at = match byte {
                b'\n' | b'\r' => bare.break_line(at + 1),
                b' ' | b'\t' if bare.ends_broken => at + 1,
                b'\\' => bare.unquote(raw, at),
                _ => {
                    let rest = &bytes[at..];
                    let plain = rest.iter().position(|byte| b"\n\r\\".contains(byte));
                    let end = plain.map_or(raw.len(), |plain| at + plain);
                    bare.append(&raw[at..end], at, end)
                }
            };
        }
        bare
    }

    /// Takes the backslashes that begin here, and what they quote.
    fn unquote(&mut self, raw: &str, at: usize) -> usize {
        let quoted = raw[at..].trim_start_matches('\\');
        let after = raw.len() - quoted.len();
        match quoted.chars().next() {
            Some('n' | 'r') => self.break_line(after + 1),
            Some('t') if self.ends_broken => after + 1,
            Some('t') => self.append("\t", after - 1, after + 1),
            None | Some('\n' | '\r') => after,
            Some(' ' | '\t') if self.ends_broken => after,
            // One backslash belongs to what it quotes, so that none is left before a mark.
            Some(c) => self.append(&quoted[..c.len_utf8()], after - 1, after + c.len_utf8()),
        }
    }

    fn break_line(&mut self, after: usize) -> usize {
        self.ends_broken = true;
        after
    }

    /// Adds a text that stands there in the raw one; answers where it ends.
    fn append(&mut self, text: &str, from: usize, to: usize) -> usize {
        let bare = self.text.len();
        let runs_on = self.seams.last().map_or(from == 0, |seam| {
            bare - seam.bare + seam.raw == from && self.ended == from
        });
        if !runs_on || self.ends_broken {
            self.seams.push(Seam {
                bare,
                raw: from,
                ended: self.ended,
                broken: self.ends_broken,
            });
        }
        self.text.push_str(text);
        self.ended = to;
        self.ends_broken = false;
        to
    }

    /// Where the byte stands in the raw text; where what is decided ends, for the text's end.
    pub(super) fn raw(&self, at: usize) -> usize {
        if at >= self.text.len() {
            return self.decided;
        }
        let before = self.seams.partition_point(|seam| seam.bare <= at);
        let seam = before.checked_sub(1).map(|last| self.seams[last]);
        seam.map_or(at, |seam| at - seam.bare + seam.raw)
    }

    /// Where the text that ends here ends in the raw text: what is left out behind it does not belong to it.
    pub(super) fn raw_end(&self, end: usize) -> usize {
        if end >= self.text.len() {
            return self.ended;
        }
        match self.seam_at(end) {
            Some(seam) => seam.ended,
            None => self.raw(end),
        }
    }

    /// Whether a line break stands before this byte, or before the text's end.
    pub(super) fn is_broken_before(&self, at: usize) -> bool {
        if at >= self.text.len() {
            return self.ends_broken;
        }
        self.seam_at(at).is_some_and(|seam| seam.broken)
    }

    fn seam_at(&self, at: usize) -> Option<Seam> {
        let found = self.seams.binary_search_by_key(&at, |seam| seam.bare);
        found.ok().map(|found| self.seams[found])
    }

    /// From where on something that begins here is taken out: its first bytes up to a line break among them have been
    /// shown by then.
    pub(super) fn taken_from(&self, at: usize) -> usize {
        let first = at + 1..(at + UNBROKEN).min(self.text.len() + 1);
        first
            .rev()
            .find(|at| self.is_broken_before(*at))
            .unwrap_or(at)
    }
}
