//! The prose beside a runbook: Markdown headings, and commands in fenced blocks marked `ops`.

use std::sync::Arc;

use super::at::Spot;
use super::diagnostic::SourceFile;
use crate::domain::Procedure;

/// A prose runbook.
#[derive(Debug, Default)]
pub(crate) struct Prose {
    /// Its parts, in order.
    pub(crate) procedures: Vec<Procedure>,
    /// Every command in it, and where.
    pub(crate) commands: Vec<(String, Spot)>,
}

/// Splits a file at its headings. Text before the first stands under `title`.
pub(crate) fn read(file: &Arc<SourceFile>, title: &str) -> Prose {
    let mut scanner = Scanner {
        file,
        title,
        part: part(1, title),
        fence: None,
        prose: Prose::default(),
    };
    let mut start = 0;
    for line in file.text.split_inclusive('\n') {
        scanner.line(line, start);
        start += line.len();
    }
    scanner.finish_part();
    scanner.prose
}

struct Scanner<'f> {
    file: &'f Arc<SourceFile>,
    title: &'f str,
    part: Procedure,
    fence: Option<Fence>,
    prose: Prose,
}

fn part(level: u8, heading: &str) -> Procedure {
    Procedure {
        heading: heading.to_owned(),
        level,
        text: String::new(),
        commands: Vec::new(),
    }
}

impl Scanner<'_> {
    fn line(&mut self, line: &str, start: usize) {
        let trimmed = line.trim();
        let mut is_text = true;
        if let Some(fence) = &self.fence {
            is_text = !fence.commands;
            if fence.closes(trimmed) {
                self.fence = None;
            } else if fence.commands {
                self.command(line, start);
            }
        } else if let Some(fence) = Fence::open(trimmed) {
            is_text = !fence.commands;
            self.fence = Some(fence);
        } else if let Some((level, heading)) = heading(line) {
            self.finish_part();
            self.part = part(level, heading);
            is_text = false;
        }
        if is_text {
            self.part.text.push_str(line);
        }
    }

    /// One line of an `ops` block: a command, an empty line, or a remark behind `#`.
    fn command(&mut self, line: &str, start: usize) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return;
        }
        let begin = start + (line.len() - line.trim_start().len());
        let spot = Spot::new(self.file, begin..begin + trimmed.len());
        let command = trimmed
            .strip_prefix("/ops ")
            .unwrap_or(trimmed)
            .trim_start();
        self.part.commands.push(command.to_owned());
        self.prose.commands.push((command.to_owned(), spot));
    }

    fn finish_part(&mut self) {
        let mut part = std::mem::replace(&mut self.part, part(1, self.title));
        part.text.truncate(part.text.trim_end().len());
        part.text
            .drain(..part.text.len() - part.text.trim_start().len());
        let empty = part.text.is_empty() && part.commands.is_empty();
        let before_first = part.heading == self.title && self.prose.procedures.is_empty();
        // A heading is kept even without text; the space before the first heading is not.
        if !(empty && before_first) {
            self.prose.procedures.push(part);
        }
    }
}

struct Fence {
    mark: char,
    length: usize,
    commands: bool,
}

impl Fence {
    fn open(line: &str) -> Option<Self> {
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let length = line.chars().take_while(|c| *c == mark).count();
        let info = line.trim_start_matches(mark);
        (length >= 3 && !info.contains('`')).then(|| Self {
            mark,
            length,
            commands: info.split_whitespace().next() == Some("ops"),
        })
    }

    fn closes(&self, line: &str) -> bool {
        line.chars().count() >= self.length && line.chars().all(|c| c == self.mark)
    }
}

fn heading(line: &str) -> Option<(u8, &str)> {
    let level = line.bytes().take_while(|b| *b == b'#').count();
    let text = line.trim_start_matches('#');
    let is_heading = (1..=6).contains(&level) && text.starts_with([' ', '\t']);
    let level = u8::try_from(level).ok().filter(|_| is_heading)?;
    Some((level, text.trim().trim_end_matches('#').trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose(text: &str) -> Prose {
        let file = SourceFile::new("r/shop.md".into(), "r/shop.md".into(), text.into());
        read(&file, "shop")
    }

    #[test]
    fn headings_text_and_commands_are_told_apart() {
        let read = prose(
            "Before.\n\n# Shop #\nWhat it is.\n\n## Flush\nDo this:\n\n```ops\n# a remark\n/ops flush-cache prod\n\n  status prod\n```\nand wait.\n\n```sh\n# no heading\nls\n```\n",
        );
        let parts: Vec<(&str, u8, &str, usize)> = read
            .procedures
            .iter()
            .map(|part| {
                (
                    part.heading.as_str(),
                    part.level,
                    part.text.as_str(),
                    part.commands.len(),
                )
            })
            .collect();
        assert_eq!(
            parts,
            [
                ("shop", 1, "Before.", 0),
                ("Shop", 1, "What it is.", 0),
                (
                    "Flush",
                    2,
                    "Do this:\n\nand wait.\n\n```sh\n# no heading\nls\n```",
                    2
                ),
            ]
        );
        assert_eq!(
            read.procedures[2].commands,
            ["flush-cache prod", "status prod"]
        );
        assert_eq!(read.commands[1].1.file_line().line, 13);
    }

    #[test]
    fn an_unclosed_fence_and_odd_headings_harm_nothing() {
        assert!(prose("").procedures.is_empty());
        assert_eq!(prose("#no\n####### no\n").procedures.len(), 1);
        assert_eq!(prose("```ops\nstatus").procedures[0].commands, ["status"]);
    }
}
