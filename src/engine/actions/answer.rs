//! Judges the answer of an HTTP exchange against what the step expects.

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION};

use super::Ended;
use super::output::Output;
use crate::domain::{HttpAction, Rendered, StepResult};

/// Bytes of a body that are read.
const BODY: usize = 1024 * 1024;
/// Bytes of a body that are shown: when a step asks for it, or when an expectation is not met.
const SHOWN_BODY: usize = 2 * 1024;
/// What stands in `show` for the beginning of the body.
const SHOW_BODY: &str = "body";
/// Characters of a header's value that are told.
const SHOWN_HEADER: usize = 200;

/// What came back.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// At most [`BODY`] bytes.
    body: Vec<u8>,
    /// Whether there was more.
    cut: bool,
}

/// Reads the body as far as we want it; the connection ends with it.
pub(super) async fn read_body(mut response: reqwest::Response) -> Result<Answer, reqwest::Error> {
    let mut body = Vec::new();
    let mut cut = false;
    while let Some(chunk) = response.chunk().await? {
        let room = BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            cut = true;
            break;
        }
    }
    Ok(Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body,
        cut,
    })
}

impl Answer {
    /// `200 OK, 1.2 kB`.
    pub(super) fn summary(&self) -> String {
        let more = if self.cut { "more than " } else { "" };
        format!(
            "{}, {more}{}",
            status_text(self.status),
            size_text(self.body.len())
        )
    }

    /// Tells what came back, and whether it is what the step expects.
    pub(super) fn conclude(&self, action: &HttpAction<Rendered>, output: &mut Output) -> Ended {
        let mut told = Vec::new();
        for name in &action.show {
            if name == SHOW_BODY {
                output.say(
                    &self
                        .textual_body(output)
                        .unwrap_or_else(|| "body: not text".to_owned()),
                );
                continue;
            }
            let line = match self.header(name, output) {
                Some(value) => format!("{name}: {value}"),
                None => format!("{name}: not sent"),
            };
            output.say(&line);
            told.push(line);
        }
        let unmet = self.unmet(action, output);
        if unmet.is_empty() {
            told.insert(0, status_text(self.status));
            let note = told.join(", ");
            return StepResult::Succeeded { note }.into();
        }
        for line in &unmet {
            output.say(line);
        }
        let shown = action.show.iter().any(|name| name == SHOW_BODY);
        if let Some(text) = self.textual_body(output).filter(|_| !shown) {
            output.say(&text);
        }
        let why = unmet.join("; ");
        if self.is_a_definite_no() {
            return StepResult::Rejected { why }.into();
        }
        Ended {
            says_no: true,
            ..Ended::failed(why)
        }
    }

    /// A client's error (RFC 9110 §15.5), but for those that ask for another try.
    fn is_a_definite_no(&self) -> bool {
        self.status.is_client_error() && !matches!(self.status.as_u16(), 408 | 425 | 429)
    }

    /// What is expected and not so, each with what was seen.
    fn unmet(&self, action: &HttpAction<Rendered>, output: &Output) -> Vec<String> {
        let expect = &action.expect;
        let mut unmet = Vec::new();
        let status_fits = if expect.status.is_empty() {
            self.status.is_success()
        } else {
            expect.status.contains(&self.status.as_u16())
        };
        if !status_fits {
            unmet.push(self.unmet_status(&expect.status, output));
        }
        for (name, pattern) in &expect.headers {
            let pattern = pattern.regex();
            let mut values = self.headers.get_all(name).iter().peekable();
            if values.peek().is_none() {
                unmet.push(format!(
                    "header `{name}` was not sent, expected /{pattern}/"
                ));
            } else if !values
                .any(|value| pattern.is_match(&String::from_utf8_lossy(value.as_bytes())))
            {
                let seen = self.header(name, output).unwrap_or_default();
                unmet.push(format!("header `{name}` is `{seen}`, expected /{pattern}/"));
            }
        }
        if let Some(pattern) = &expect.body {
            let pattern = pattern.regex();
            if !pattern.is_match(&String::from_utf8_lossy(&self.body)) {
                let read = if self.cut { "first 1 MiB of the " } else { "" };
                unmet.push(format!("the {read}body does not match /{pattern}/"));
            }
        }
        unmet
    }

    fn unmet_status(&self, expected: &[u16], output: &Output) -> String {
        let expected = if expected.is_empty() {
            "2xx".to_owned()
        } else {
            let expected: Vec<String> = expected.iter().map(u16::to_string).collect();
            expected.join(" or ")
        };
        let redirects = match self.headers.get(LOCATION) {
            Some(to) if self.status.is_redirection() => format!(
                "; it redirects to {}, allow it with `redirects: 1`",
                shortened(&String::from_utf8_lossy(to.as_bytes()), output)
            ),
            _ => String::new(),
        };
        let seen = status_text(self.status);
        format!("status {seen}, expected {expected}{redirects}")
    }

    /// All values of a header, joined as HTTP joins them.
    fn header(&self, name: &str, output: &Output) -> Option<String> {
        let values: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (!values.is_empty()).then(|| shortened(&values.join(", "), output))
    }

    /// The beginning of the body, when people can read it.
    fn textual_body(&self, output: &Output) -> Option<String> {
        let enough = SHOWN_BODY + 2 * output.longest_secret();
        let beginning = &self.body[..self.body.len().min(enough)];
        if beginning.is_empty() || beginning.contains(&0) {
            return None;
        }
        let text = output.redact(&String::from_utf8_lossy(beginning));
        let shown = &text[..text.floor_char_boundary(SHOWN_BODY)];
        if shown.len() == text.len() && beginning.len() == self.body.len() {
            return Some(text.trim_end().to_owned());
        }
        let size = size_text(self.body.len());
        Some(format!("{shown}\n… the beginning of {size}"))
    }
}

/// `200 OK`; the number alone where it has no name.
pub(super) fn status_text(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// `12 B`, `1.2 kB`, `1.0 MB`.
fn size_text(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// Without secrets, and not longer than a line can bear.
fn shortened(text: &str, output: &Output) -> String {
    let text = output.redact(text);
    if text.chars().count() <= SHOWN_HEADER {
        return text;
    }
    let cut: String = text.chars().take(SHOWN_HEADER).collect();
    format!("{cut}…")
}
