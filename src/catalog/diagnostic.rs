//! A mistake in a file: what is wrong, where, and what to do next, with the place underlined.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::domain::FileLine;

/// One thing that is wrong, or will hurt, in the users' files.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Whether the file can be used.
    pub severity: Severity,
    /// Path as the person would type it; of a folder when the folder is the trouble.
    pub file: String,
    /// Counted from 1; 0 when the trouble is the file itself.
    pub line: u32,
    /// In characters, counted from 1; 0 when the trouble is the file itself.
    pub column: u32,
    /// What is wrong: lower case, no trailing period.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    underline: Option<(Arc<SourceFile>, Range<usize>)>,
}

/// Whether the file can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No: what it describes is left out.
    Error,
    /// Yes, and it will hurt at night.
    Warning,
}

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Path as the person would type it.
    pub(crate) path: String,
    /// The last folder and the name: the same on every machine, for rules and ledger.
    pub(crate) short: String,
    /// All of it.
    pub(crate) text: String,
    line_starts: Vec<usize>,
}

impl Diagnostic {
    /// An error about a whole file or folder.
    pub(crate) fn about(file: &str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            message: message.into(),
            hint: None,
            underline: None,
        }
    }

    /// An error at a place. The span is cut to its first line.
    pub(crate) fn at(
        file: &Arc<SourceFile>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let span = file.first_line_of(span);
        let (line, column) = file.position(span.start);
        Self {
            line,
            column,
            underline: Some((Arc::clone(file), span)),
            ..Self::about(&file.path, message)
        }
    }

    /// The same, as a warning.
    pub(crate) fn warning(self) -> Self {
        Self {
            severity: Severity::Warning,
            ..self
        }
    }

    /// The same, with what to do next.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same, with what to do next when that is known.
    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Several lines for a terminal: the message, the place, its source underlined, the hint.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str());
        let mut group = match &self.underline {
            Some((file, span)) => title.element(
                Snippet::source(file.text.as_str())
                    .path(self.file.as_str())
                    .annotation(AnnotationKind::Primary.span(span.clone())),
            ),
            None => title.element(annotate_snippets::Origin::path(self.file.as_str())),
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostic {
    /// One line: place, message, hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

/// Renders all of them, with a last line that counts them. Empty when there are none.
pub fn render_all(diagnostics: &[Diagnostic], colour: bool) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&diagnostic.render(colour));
        text.push_str("\n\n");
    }
    let errors = diagnostics.iter().filter(|one| one.is_error()).count();
    let warnings = counted(diagnostics.len() - errors, "warning");
    text + &format!(
        "{}, {warnings}
",
        counted(errors, "error")
    )
}

/// `1 command`, `2 commands`.
pub fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// `did you mean …?` when one of the known words is near.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

/// The known word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

impl SourceFile {
    /// Counts the lines.
    pub(crate) fn new(path: String, short: String, text: String) -> Arc<Self> {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Arc::new(Self {
            path,
            short,
            text,
            line_starts,
        })
    }

    /// Line and column of a byte, counted from 1, the column in characters.
    pub(crate) fn position(&self, byte: usize) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= byte);
        let before = self
            .line_starts
            .get(line.saturating_sub(1))
            .and_then(|start| self.text.get(*start..byte))
            .unwrap_or_default();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (count(line), count(before.chars().count() + 1))
    }

    /// The place for rules, commands and the ledger.
    pub(crate) fn file_line(&self, byte: usize) -> FileLine {
        FileLine {
            file: self.short.clone(),
            line: self.position(byte).0,
        }
    }

    /// The bytes of one line, counted from 1, without its end.
    pub(crate) fn line_span(&self, line: u32) -> Range<usize> {
        let index = usize::try_from(line)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        let start = self
            .line_starts
            .get(index)
            .copied()
            .unwrap_or(self.text.len());
        self.first_line_of(start..self.text.len())
    }

    /// The part of a span that is on its first line, without the space at its end.
    fn first_line_of(&self, span: Range<usize>) -> Range<usize> {
        let start = span.start.min(self.text.len());
        let part = self
            .text
            .get(start..span.end.max(start))
            .unwrap_or_default();
        let line = part.lines().next().unwrap_or_default().trim_end();
        start..start + line.len()
    }
}
