//! Output of one attempt, on its way to people: decoded, without control sequences, redacted, in lines, capped.
//!
//! Controls go before secrets are looked for, so that a colour within a secret hides nothing; lines are cut after it, so
//! that no secret is cut in two and half of it shown.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::{ControlFilter, Lines, Redaction, Redactor};

/// Bytes kept of the beginning.
const HEAD: usize = 128 * 1024;
/// Bytes kept of the end.
const TAIL: usize = 64 * 1024;
/// Bytes before the tail that are kept and not shown, beside twice the longest secret's: the cut may have halved one.
const TAIL_SLACK: usize = 4 * 1024;

/// Takes bytes as they come and sends text. Memory is bounded, however much comes and however slowly it is taken.
pub(super) struct Output {
    redactor: Arc<Redactor>,
    pipeline: Pipeline,
    shown: usize,
    /// Whether what came last was no line break.
    line_begun: bool,
    tail: Tail,
    pending: String,
    sender: mpsc::Sender<String>,
}

impl Output {
    pub(super) fn new(redactor: Arc<Redactor>, sender: mpsc::Sender<String>) -> Self {
        Self {
            tail: Tail::new(TAIL + TAIL_SLACK + 2 * redactor.longest()),
            redactor,
            pipeline: Pipeline::default(),
            shown: 0,
            line_begun: false,
            pending: String::new(),
            sender,
        }
    }

    /// Adds a line of our own.
    pub(super) fn say(&mut self, line: &str) {
        let before = if self.line_begun { "\n" } else { "" };
        self.push(format!("{before}{line}\n").as_bytes());
    }

    /// Takes the next bytes; what of them can be shown waits for [`Self::flush`].
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.line_begun = bytes.last().map_or(self.line_begun, |last| *last != b'\n');
        if self.shown >= HEAD {
            self.tail.push(bytes);
            return;
        }
        let text = self.pipeline.push(&self.redactor, bytes);
        self.shown += text.len();
        self.pending.push_str(&text);
    }

    /// A text without controls and secrets, for who has to cut it before it is said.
    pub(super) fn redact(&self, text: &str) -> String {
        self.redactor.redact(&ControlFilter::default().push(text))
    }

    /// Bytes beyond a cut that have to be redacted too, so that no half secret stays before it.
    pub(super) fn longest_secret(&self) -> usize {
        self.redactor.longest()
    }

    /// Whether something waits for [`Self::flush`].
    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Sends what waits. Cancel safe: nothing is lost. Output that nobody takes is thrown away.
    pub(super) async fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if let Ok(permit) = self.sender.reserve().await {
            permit.send(std::mem::take(&mut self.pending));
        } else {
            self.pending.clear();
        }
    }

    /// Sends the rest.
    pub(super) async fn finish(mut self) {
        self.end_text();
        self.flush().await;
    }

    fn end_text(&mut self) {
        let tail = std::mem::replace(&mut self.tail, Tail::new(0));
        if tail.is_whole() {
            let text = self.pipeline.push(&self.redactor, &tail.bytes);
            let rest = self.pipeline.finish(&self.redactor);
            return self.append_end(&(text + &rest), None);
        }
        // What the head's pipeline still holds back may be half a secret: only its last line is taken.
        self.pending.push_str(&self.pipeline.lines.finish());
        let (slack, bytes) = tail.split();
        let mut fresh = Pipeline::default();
        // The slack may begin with the other half of a secret: nothing of it is shown, but a secret in it may go on.
        fresh.push(&self.redactor, slack);
        fresh.lines.finish();
        let text = fresh.push(&self.redactor, bytes);
        let rest = fresh.finish(&self.redactor);
        let left_out = tail.left_out_lines + line_breaks(slack);
        self.append_end(&(text + &rest), Some(left_out));
    }

    /// Adds the end of the output, and before it what is missing: `None` when nothing is.
    fn append_end(&mut self, text: &str, left_out: Option<usize>) {
        let longest = if self.shown >= HEAD { TAIL } else { HEAD };
        let kept = last_lines(text, longest);
        let cut = &text[..text.len() - kept.len()];
        if left_out.is_some() || !cut.is_empty() {
            if !self.pending.is_empty() && !self.pending.ends_with('\n') {
                self.pending.push('\n');
            }
            let note = match left_out.unwrap_or(0) + line_breaks(cut.as_bytes()) {
                0 => "… part of a line left out …\n".to_owned(),
                1 => "… 1 line left out …\n".to_owned(),
                lines => format!("… {lines} lines left out …\n"),
            };
            self.pending.push_str(&note);
        }
        self.pending.push_str(kept);
    }
}

/// From bytes to lines that may be shown.
#[derive(Default)]
struct Pipeline {
    decoder: Decoder,
    controls: ControlFilter,
    redaction: Redaction,
    lines: Lines,
}

impl Pipeline {
    fn push(&mut self, redactor: &Redactor, bytes: &[u8]) -> String {
        let text = self.decoder.push(bytes);
        let text = self.controls.push(&text);
        let text = self.redaction.push(redactor, &text);
        self.lines.push(&text)
    }

    fn finish(&mut self, redactor: &Redactor) -> String {
        // Half a character comes after the rest: it must not hide that a secret broke off before it.
        let mut text = self.redaction.finish(redactor);
        text.push_str(&self.controls.push(self.decoder.finish()));
        let mut lines = self.lines.push(&text);
        lines.push_str(&self.lines.finish());
        lines
    }
}

/// Bytes to text; what is not UTF-8 becomes `�`.
#[derive(Default)]
struct Decoder {
    /// The beginning of a character; at most three bytes.
    begun: Vec<u8>,
}

impl Decoder {
    fn push(&mut self, bytes: &[u8]) -> String {
        let joined = [self.begun.as_slice(), bytes].concat();
        let mut rest = joined.as_slice();
        let mut text = String::with_capacity(rest.len());
        self.begun.clear();
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => error,
            };
            let (valid, broken) = rest.split_at(error.valid_up_to());
            text.push_str(&String::from_utf8_lossy(valid));
            let Some(length) = error.error_len() else {
                self.begun = broken.to_vec();
                return text;
            };
            text.push(char::REPLACEMENT_CHARACTER);
            rest = &broken[length..];
        }
    }

    fn finish(&mut self) -> &'static str {
        let broken = !std::mem::take(&mut self.begun).is_empty();
        if broken { "\u{fffd}" } else { "" }
    }
}

/// The last bytes, and how much came before them.
struct Tail {
    bytes: Vec<u8>,
    capacity: usize,
    left_out_bytes: usize,
    left_out_lines: usize,
}

impl Tail {
    fn new(capacity: usize) -> Self {
        Self {
            bytes: Vec::new(),
            capacity,
            left_out_bytes: 0,
            left_out_lines: 0,
        }
    }

    /// Keeps at least the last `capacity` bytes and at most twice as many, so that moving them costs little.
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * self.capacity {
            let surplus = self.bytes.len() - self.capacity;
            self.left_out_bytes += surplus;
            self.left_out_lines += line_breaks(&self.bytes[..surplus]);
            self.bytes.drain(..surplus);
        }
    }

    fn is_whole(&self) -> bool {
        self.left_out_bytes == 0 && self.bytes.len() <= self.capacity
    }

    /// What is not shown, and about the last [`TAIL`] bytes, from the beginning of a line where one begins.
    fn split(&self) -> (&[u8], &[u8]) {
        let cut = self.bytes.len().saturating_sub(TAIL);
        let line = self.bytes[cut..].iter().position(|byte| *byte == b'\n');
        self.bytes.split_at(cut + line.map_or(0, |at| at + 1))
    }
}

fn line_breaks(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// The end of the text, at most so many bytes, from the beginning of a line or at least of a character.
fn last_lines(text: &str, longest: usize) -> &str {
    let mut cut = text.len().saturating_sub(longest);
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    let end = &text[cut..];
    match end.find('\n') {
        Some(at) if cut > 0 => &end[at + 1..],
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "c4n4ry-0f-th3-m1n3";

    async fn shown(redactor: &Arc<Redactor>, text: impl AsRef<[u8]>, chunk: usize) -> String {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut output = Output::new(redactor.clone(), sender);
        for bytes in text.as_ref().chunks(chunk) {
            output.push(bytes);
        }
        output.finish().await;
        receiver.recv().await.unwrap_or_default()
    }

    #[tokio::test]
    async fn no_secret_is_halved_where_output_is_left_out() {
        let redactor = Arc::new(Redactor::new([CANARY]));
        for offset in 0..10 {
            for between in ["-", "\n", "\x1b[0m\n  "] {
                let repeated = format!("{CANARY}{between}").repeat(20_000);
                let head = "y\n".repeat(HEAD / 2);
                let text = format!("{head}{}{repeated}", "x".repeat(offset * 2));
                let shown = shown(&redactor, &text, 16 * 1024).await;
                assert!(shown.contains(" left out …"), "{offset} {between:?}");
                for part in CANARY.as_bytes().windows(4) {
                    let part = std::str::from_utf8(part).unwrap();
                    assert!(!shown.contains(part), "{offset} {between:?} {part}");
                }
            }
        }
    }

    #[tokio::test]
    async fn the_cut_into_chunks_does_not_matter() {
        let redactor = Arc::new(Redactor::new([CANARY]));
        let text = format!("é💥 \x1b[31m{CANARY}\r\nb{CANARY}\u{202e}\nlast");
        for chunk in 1..text.len() {
            let shown = shown(&redactor, &text, chunk).await;
            assert_eq!(shown, "é💥 [redacted]\nb[redacted]\nlast", "{chunk}");
        }
    }

    #[tokio::test]
    async fn a_secret_that_breaks_off_within_a_character_is_not_shown() {
        let secret = "ß日💥ΩΩaΩ日日".as_bytes();
        let redactor = Arc::new(Redactor::new([std::str::from_utf8(secret).unwrap()]));
        for length in 9..secret.len() {
            let shown = shown(&redactor, &secret[..length], 5).await;
            let shown = shown.trim_end_matches('\u{fffd}');
            assert_eq!(shown, "[redacted]", "{length} bytes");
        }
    }

    #[tokio::test]
    async fn what_is_not_text_is_bounded_too() {
        let redactor = Arc::new(Redactor::new([]));
        let (sender, mut receiver) = mpsc::channel(1);
        let mut output = Output::new(redactor, sender);
        for _ in 0..100 {
            output.push(&[0xff; 9_999]);
            output.push(b"\n\xe2\x82");
        }
        output.finish().await;
        let shown = receiver.recv().await.unwrap();
        assert!(shown.len() < 256 * 1024, "{}", shown.len());
        assert!(shown.ends_with('\u{fffd}'));
    }
}
