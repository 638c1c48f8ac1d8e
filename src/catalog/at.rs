//! A place in a file while its meaning is worked out: what stands there, and how to complain about it.

use std::ops::Range;
use std::sync::Arc;

use sha2::Digest as _;

use super::diagnostic::{Diagnostic, SourceFile};
use super::tree::{Node, Tree};
use crate::domain::FileLine;

/// A value's or key's place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    file: &'a Arc<SourceFile>,
    start: usize,
    end: usize,
    node: Option<&'a Node>,
}

impl<'a> At<'a> {
    /// The whole file.
    pub(crate) fn root(file: &'a Arc<SourceFile>, node: &'a Node) -> Self {
        Self {
            file,
            start: node.span.start,
            end: node.span.end,
            node: Some(node),
        }
    }

    fn node_at(self, node: &'a Node) -> Self {
        Self {
            start: node.span.start,
            end: node.span.end,
            node: Some(node),
            ..self
        }
    }

    /// What stands here; `None` at a key.
    pub(crate) fn node(self) -> Option<&'a Node> {
        self.node
    }

    /// The value of a key; this place itself where the key is missing.
    pub(crate) fn get(self, key: &str) -> Self {
        self.entry(key).map_or(self, |(_, value)| value)
    }

    /// The key itself; this place where it is missing.
    pub(crate) fn key(self, key: &str) -> Self {
        self.entry(key).map_or(self, |(key, _)| key)
    }

    fn entry(self, key: &str) -> Option<(Self, Self)> {
        let Some(Tree::Map(entries)) = self.node.map(|node| &node.value) else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        let key = self.span(entry.key_span.clone());
        Some((key, self.node_at(&entry.node)))
    }

    fn span(self, span: Range<usize>) -> Self {
        Self {
            start: span.start,
            end: span.end,
            node: None,
            ..self
        }
    }

    /// The keys here, in file order; none where this is no map.
    pub(crate) fn keys(self) -> impl Iterator<Item = &'a str> {
        let entries = match self.node.map(|node| &node.value) {
            Some(Tree::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// The items of the list here; of a single value: itself.
    pub(crate) fn items(self) -> impl Iterator<Item = At<'a>> {
        let items: &[Node] = match self.node {
            Some(Node {
                value: Tree::List(items),
                ..
            }) => items,
            Some(single) => std::slice::from_ref(single),
            None => &[],
        };
        items.iter().map(move |item| self.node_at(item))
    }

    /// The text under `level`, where there is one.
    pub(crate) fn level(self) -> Option<String> {
        let (_, value) = self.entry("level")?;
        match value.node.map(|node| &node.value) {
            Some(Tree::Scalar(scalar)) => Some(scalar.text.clone()),
            _ => None,
        }
    }

    /// The first key of the map here: a short place to speak of all of it.
    pub(crate) fn head(self) -> Self {
        match self.node.map(|node| &node.value) {
            Some(Tree::Map(entries)) => entries
                .first()
                .map_or(self, |entry| self.span(entry.key_span.clone())),
            _ => self,
        }
    }

    /// A part of the text here, such as one placeholder; all of it where the part isn't found as written.
    pub(crate) fn part(self, text: &str) -> Self {
        let source = self.file.text.get(self.start..self.end).unwrap_or_default();
        match source.find(text) {
            Some(at) if !text.is_empty() => {
                self.span(self.start + at..self.start + at + text.len())
            }
            _ => self,
        }
    }

    /// An error here.
    pub(crate) fn error(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.file, self.start..self.end, message)
    }

    /// A warning here.
    pub(crate) fn warning(self, message: impl Into<String>) -> Diagnostic {
        self.error(message).warning()
    }

    /// File and line, for rules and the ledger.
    pub(crate) fn file_line(self) -> FileLine {
        self.file.file_line(self.start)
    }

    /// Hash of the whole file: the first 12 hexadecimal digits of its SHA-256.
    pub(crate) fn fingerprint(self) -> String {
        let hash = sha2::Sha256::digest(self.file.text.as_bytes());
        data_encoding::HEXLOWER.encode(&hash[..6])
    }

    /// The place, kept after the tree is gone.
    pub(crate) fn spot(self) -> Spot {
        Spot {
            file: Arc::clone(self.file),
            span: self.start..self.end,
        }
    }
}

/// A place that outlives the tree.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    file: Arc<SourceFile>,
    span: Range<usize>,
}

impl Spot {
    /// A place in a file.
    pub(crate) fn new(file: &Arc<SourceFile>, span: Range<usize>) -> Self {
        Self {
            file: Arc::clone(file),
            span,
        }
    }

    /// An error here.
    pub(crate) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(&self.file, self.span.clone(), message)
    }

    /// A warning here.
    pub(crate) fn warning(&self, message: impl Into<String>) -> Diagnostic {
        self.error(message).warning()
    }

    /// File and line, for rules and the ledger.
    pub(crate) fn file_line(&self) -> FileLine {
        self.file.file_line(self.span.start)
    }
}
