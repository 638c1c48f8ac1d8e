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
    let mut prose = Prose::default();
    let mut part = Procedure {
        heading: title.to_owned(),
        level: 1,
        text: String::new(),
        commands: Vec::new(),
    };
    let mut fence: Option<Fence> = None;
    let mut start = 0;
    for line in file.text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let trimmed = line.trim();
        if let Some(open) = &fence {
            if open.closes(trimmed) {
                if !open.commands {
                    part.text.push_str(line);
                }
                fence = None;
            } else if open.commands {
                take_command(trimmed, file, at, line, &mut part, &mut prose);
            } else {
                part.text.push_str(line);
            }
        } else if let Some(open) = Fence::open(trimmed) {
            if !open.commands {
                part.text.push_str(line);
            }
            fence = Some(open);
        } else if let Some((level, heading)) = heading(line) {
            let next = Procedure {
                heading: heading.to_owned(),
                level,
                text: String::new(),
                commands: Vec::new(),
            };
            finish(std::mem::replace(&mut part, next), title, &mut prose);
        } else {
            part.text.push_str(line);
        }
    }
    finish(part, title, &mut prose);
    prose
}

fn finish(mut part: Procedure, title: &str, prose: &mut Prose) {
    part.text = part.text.trim().to_owned();
    let empty = part.text.is_empty() && part.commands.is_empty();
    // A heading is kept even without text; the space before the first heading is not.
    if !(empty && part.heading == title && prose.procedures.is_empty()) {
        prose.procedures.push(part);
    }
}

/// One line of an `ops` block: a command, an empty line, or a remark behind `#`.
fn take_command(
    trimmed: &str,
    file: &Arc<SourceFile>,
    at: usize,
    line: &str,
    part: &mut Procedure,
    prose: &mut Prose,
) {
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return;
    }
    let begin = at + (line.len() - line.trim_start().len());
    let spot = Spot::new(file, begin..begin + trimmed.len());
    let command = trimmed
        .strip_prefix("/ops ")
        .unwrap_or(trimmed)
        .trim_start();
    part.commands.push(command.to_owned());
    prose.commands.push((command.to_owned(), spot));
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
