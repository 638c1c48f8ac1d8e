//! YAML as a small tree in which every key and value knows its place.
//!
//! Takes one document of maps, lists and scalars. Refuses what hides things or makes a small file large: anchors, aliases,
//! tags, duplicate keys, a second document. Everything is bounded.

use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::diagnostic::{Diagnostic, SourceFile};

/// The deepest nesting.
const DEEPEST: usize = 32;
/// The most maps, lists and scalars in one file.
const MOST_NODES: usize = 10_000;

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    /// In bytes of the file.
    pub(crate) span: Range<usize>,
    /// What it is.
    pub(crate) value: Tree,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Tree {
    /// A single value.
    Scalar(Scalar),
    /// Values in order.
    List(Vec<Node>),
    /// Keys in file order. Unique.
    Map(Vec<Entry>),
}

/// One key with its value.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As written.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_span: Range<usize>,
    /// What it holds.
    pub(crate) node: Node,
}

/// A single value: its text, and what an unquoted text means.
#[derive(Debug)]
pub(crate) struct Scalar {
    /// The text, unquoted.
    pub(crate) text: String,
    /// What it means: only `true` and `false` are booleans; `no`, `1_000` and `0x1F` are text.
    pub(crate) kind: Kind,
    /// What YAML took as a comment although it may be meant: `#shop-help` and all behind it.
    pub(crate) cut: Option<String>,
}

/// What a scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Nothing,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text,
}

/// Reads a file; pushes what is wrong. `None` when nothing can be made of it.
pub(crate) fn parse(file: &Arc<SourceFile>, notes: &mut Vec<Diagnostic>) -> Option<Node> {
    let mut reader = Reader {
        file,
        notes,
        events: Parser::new_from_str(&file.text),
        offsets: Offsets::of(&file.text),
        nodes: 0,
    };
    reader.document().unwrap_or_default()
}

/// The rest of the file can't be read; the reason is among the notes.
struct Stop;

struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    notes: &'a mut Vec<Diagnostic>,
    events: Parser<'a, StrInput<'a>>,
    offsets: Offsets,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_some() => {
                    return self.stop(
                        span,
                        "a second document begins here",
                        "put it into its own file",
                    );
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                _ => return self.stop(span, "nothing is expected here", "begin a new line"),
            }
        }
        if root.is_none() {
            self.notes.push(
                Diagnostic::about(&self.file.path, "the file is empty")
                    .hint("write it, or remove it"),
            );
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), Stop> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, self.offsets.range(span))),
            Some(Err(error)) => {
                let note = self.explain(&error);
                self.notes.push(note);
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, 0..0)),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Range<usize>, depth: usize) -> Result<Node, Stop> {
        self.nodes += 1;
        if depth > DEEPEST {
            let message = format!("this is nested more than {DEEPEST} levels deep");
            return self.stop(span, &message, "make it flatter");
        }
        if self.nodes > MOST_NODES {
            let message = format!("the file holds more than {MOST_NODES} values");
            return self.stop(span, &message, "split it into several files");
        }
        self.refuse_references(&event, &span)?;
        match event {
            Event::Scalar(text, style, ..) => Ok(self.scalar(text.into_owned(), style, span)),
            Event::SequenceStart(..) => self.list(span, depth),
            Event::MappingStart(..) => self.map(span, depth),
            _ => self.stop(
                span,
                "a value is expected here",
                "write one, or remove the key",
            ),
        }
    }

    fn scalar(&self, text: String, style: ScalarStyle, span: Range<usize>) -> Node {
        let plain = matches!(style, ScalarStyle::Plain);
        let kind = if plain { meaning(&text) } else { Kind::Text };
        let cut = plain
            .then(|| comment_behind(&self.file.text, span.end))
            .flatten();
        Node {
            span,
            value: Tree::Scalar(Scalar { text, kind, cut }),
        }
    }

    fn list(&mut self, start: Range<usize>, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        let end = loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break span.end;
            }
            items.push(self.node(event, span, depth + 1)?);
        };
        Ok(Node {
            span: start.start..end.max(start.end),
            value: Tree::List(items),
        })
    }

    fn map(&mut self, start: Range<usize>, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let end = loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break key_span.end;
            }
            let key = self.node(event, key_span.clone(), depth + 1)?;
            let Tree::Scalar(key) = key.value else {
                return self.stop(
                    key_span,
                    "a key must be a single word",
                    "put text that begins with `{` or `[` in quotes",
                );
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if let Some(first) = entries.iter().find(|entry| entry.key == key.text) {
                let line = self.file.position(first.key_span.start).0;
                self.notes.push(
                    Diagnostic::at(
                        self.file,
                        key_span,
                        format!("key `{}` stands here twice", key.text),
                    )
                    .hint(format!("the first is on line {line}; keep one of them")),
                );
                continue;
            }
            entries.push(Entry {
                key: key.text,
                key_span,
                node,
            });
        };
        Ok(Node {
            span: start.start..end.max(start.end),
            value: Tree::Map(entries),
        })
    }

    fn refuse_references(&mut self, event: &Event<'a>, span: &Range<usize>) -> Result<(), Stop> {
        let (anchor, tag) = match event {
            Event::Alias(_) => {
                return self.stop(
                    span.clone(),
                    "aliases (`*name`) are not taken",
                    "write the value out",
                );
            }
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        if anchor != 0 {
            return self.stop(
                span.clone(),
                "anchors (`&name`) are not taken",
                "write the value out",
            );
        }
        if tag {
            return self.stop(
                span.clone(),
                "tags (`!name`) are not taken",
                "remove the tag, or quote the text",
            );
        }
        Ok(())
    }

    fn stop<T>(&mut self, span: Range<usize>, message: &str, hint: &str) -> Result<T, Stop> {
        self.notes
            .push(Diagnostic::at(self.file, span, message).hint(hint));
        Err(Stop)
    }

    /// The scanner's complaint, with what usually lies behind it.
    fn explain(&self, error: &ScanError) -> Diagnostic {
        // A bracket that is not closed is noticed at the end of the file: go back to where something stands.
        let filled = self.file.text.trim_end().len();
        let at = self.offsets.byte(error.marker().index()).min(filled);
        let line = self.file.line_span(self.file.position(at).0);
        let source = self.file.text.get(line.clone()).unwrap_or_default();
        let indent = source.len() - source.trim_start().len();
        if source[..indent].contains('\t') {
            return Diagnostic::at(
                self.file,
                line.start..line.start + indent,
                "a tab stands in the indentation",
            )
            .hint("indent with spaces");
        }
        let info = error.info();
        let hint = if comment_in(source) {
            "` #` begins a comment; put the whole text in quotes"
        } else if info.contains("unknown anchor") {
            "a value that begins with `*` is an alias to YAML; put the text in quotes"
        } else if info.contains("unexpected character") || info.contains("cannot start") {
            "text that begins with `@`, `%` or a backquote needs quotes"
        } else if info.contains("mapping values are not allowed") {
            "text that holds `: ` needs quotes; else look at the indentation"
        } else {
            "look at the indentation, the quotes and the brackets, here and on the line above"
        };
        let message = format!("this is not YAML: {info}");
        Diagnostic::at(self.file, at..line.end.max(at), message).hint(hint)
    }
}

/// From the scanner's places, which count characters, to bytes.
enum Offsets {
    /// One byte is one character.
    Ascii(usize),
    /// The first byte of each character.
    Bytes(Vec<usize>),
}

impl Offsets {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii(text.len());
        }
        let starts = text.char_indices().map(|(at, _)| at);
        Self::Bytes(starts.chain([text.len()]).collect())
    }

    fn byte(&self, character: usize) -> usize {
        match self {
            Self::Ascii(length) => character.min(*length),
            Self::Bytes(starts) => starts
                .get(character)
                .or(starts.last())
                .copied()
                .unwrap_or(0),
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

fn meaning(text: &str) -> Kind {
    match text {
        "" | "~" | "null" => return Kind::Nothing,
        "true" => return Kind::Boolean(true),
        "false" => return Kind::Boolean(false),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let number_like = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && (!digits.starts_with('0') || digits == "0" || digits.starts_with("0."))
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !number_like {
        return Kind::Text;
    }
    if let Ok(whole) = text.parse() {
        return Kind::Integer(whole);
    }
    text.parse().map_or(Kind::Text, Kind::Number)
}

/// ` #word` behind a value on the same line, up to the line's end. A real comment has a space behind its `#`.
fn comment_behind(text: &str, end: usize) -> Option<String> {
    let rest = text.get(end..)?.lines().next()?;
    let comment = rest.trim_start();
    let looks_meant = comment.len() < rest.len()
        && comment
            .strip_prefix('#')
            .is_some_and(|word| word.starts_with(char::is_alphanumeric));
    looks_meant.then(|| comment.trim_end().to_owned())
}

fn comment_in(line: &str) -> bool {
    line.match_indices(" #")
        .any(|(at, _)| comment_behind(line, at).is_some())
}
