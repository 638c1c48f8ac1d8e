//! Reads Discord's Markdown as its clients do, and judges what they would show. Knows Discord's rules, and of ours only
//! that we write words, emphasis, code, blocks, moments and mentions.

use serde_json::Value;

use super::judge::{Marks, characters};
use crate::fakes::discord::Posted;

const CONTENT_CHARS: usize = 2_000;
const COMPONENT_CHARS: usize = 4_000;
const SUPPRESS_EMBEDS: u64 = 1 << 2;
const IS_COMPONENTS_V2: u64 = 1 << 15;
/// Where a link of ours may lead: to the message in which a run is told.
const HOME: &str = "https://discord.com/channels/";

/// A message as Discord shows it.
pub(super) struct Shown<'a> {
    pub(super) content: &'a str,
    pub(super) flags: u64,
    pub(super) components: &'a [Value],
}

impl<'a> From<&'a Posted> for Shown<'a> {
    fn from(message: &'a Posted) -> Self {
        Self {
            content: &message.content,
            flags: message.flags,
            components: &message.components,
        }
    }
}

/// What a message was seen to hold.
pub(super) struct Read {
    /// Blocks in which a program speaks.
    pub(super) quoted: usize,
    /// All blocks.
    pub(super) blocks: usize,
    /// Lines outside of blocks.
    pub(super) lines: usize,
}

/// What is wrong with a message that we send; `pinged`: whom it may ping.
pub(super) fn sent(body: &Value, marks: &Marks, pinged: &[&str]) -> Result<Read, String> {
    let allowed = &body["allowed_mentions"];
    if allowed["parse"] != serde_json::json!([]) {
        return Err(format!("it allows mentions: {allowed}"));
    }
    for list in ["roles", "replied_user"] {
        if allowed.get(list).is_some() {
            return Err(format!("it allows mentions: {allowed}"));
        }
    }
    let users = allowed["users"].as_array().map(Vec::as_slice);
    let stranger = users
        .unwrap_or_default()
        .iter()
        .find(|it| !pinged.iter().any(|id| *it == id));
    if let Some(stranger) = stranger {
        return Err(format!("it pings {stranger}"));
    }
    if body.get("embeds").is_some() {
        return Err("it has embeds".to_owned());
    }
    let shown = Shown {
        content: body["content"].as_str().unwrap_or_default(),
        flags: body["flags"].as_u64().unwrap_or(0),
        components: body["components"].as_array().map_or(&[], Vec::as_slice),
    };
    message(&shown, marks, pinged)
}

/// What is wrong with a message that Discord holds.
pub(super) fn posted(message: &Posted, marks: &Marks, pinged: &[&str]) -> Result<Read, String> {
    let stranger = message
        .pings
        .iter()
        .find(|id| !pinged.contains(&id.as_str()));
    if let Some(stranger) = stranger {
        return Err(format!("it pinged {stranger}"));
    }
    if message.everyone || !message.embeds.is_empty() {
        return Err("it calls everybody, or has embeds".to_owned());
    }
    for (name, content) in &message.files {
        characters(content).map_err(|why| format!("the file {name}: {why}"))?;
        if name.contains(marks.printed.as_str()) || name.contains(['/', '\\', '<']) {
            return Err(format!("a file is called {name}"));
        }
    }
    self::message(&message.into(), marks, pinged)
}

fn message(shown: &Shown<'_>, marks: &Marks, pinged: &[&str]) -> Result<Read, String> {
    let is_components = shown.flags & IS_COMPONENTS_V2 != 0;
    if shown.content.chars().count() > CONTENT_CHARS {
        return Err("more than 2,000 characters".to_owned());
    }
    let mut texts = vec![shown.content];
    let mut displayed = 0;
    for component in shown.components {
        match component["type"].as_u64() {
            Some(10) if is_components => {
                let text = component["content"].as_str().unwrap_or_default();
                displayed += text.chars().count();
                texts.push(text);
            }
            Some(1) => row(component, marks)?,
            other => return Err(format!("a component of type {other:?}")),
        }
    }
    if displayed > COMPONENT_CHARS || (is_components && !shown.content.is_empty()) {
        return Err(format!("{displayed} characters in components"));
    }
    let mut read = Read {
        quoted: 0,
        blocks: 0,
        lines: 0,
    };
    let mut links = false;
    for text in texts.iter().filter(|text| !text.is_empty()) {
        characters(&without_nothing(text))?;
        let pieces = pieces(text)?;
        let mut outside = String::new();
        for piece in &pieces {
            match piece {
                Piece::Block(block) => {
                    read.blocks += 1;
                    read.quoted += usize::from(block.contains(marks.printed.as_str()));
                }
                Piece::Words(words) | Piece::Code(words) => outside.push_str(words),
                Piece::Mention(id) if pinged.contains(&id.as_str()) => {}
                Piece::Mention(id) => return Err(format!("it mentions {id}")),
                Piece::Moment => {}
                Piece::Link(_) => links = true,
            }
        }
        if outside.contains(marks.printed.as_str()) {
            return Err(format!(
                "what a program printed stands outside of the block: `{outside}`"
            ));
        }
        read.lines += outside
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
    }
    // Links unfold unless that is forbidden; in components they do not, and a file alone has none.
    let has_words = texts.iter().any(|text| !text.is_empty());
    if has_words
        && shown.flags & (SUPPRESS_EMBEDS | IS_COMPONENTS_V2) == 0
        && !is_whisper_home(shown, links)
    {
        return Err("links would unfold".to_owned());
    }
    Ok(read)
}

/// Words of the door itself: nobody else's are in them.
fn is_whisper_home(shown: &Shown<'_>, links: bool) -> bool {
    const EPHEMERAL: u64 = 1 << 6;
    const LOADING: u64 = 1 << 7;
    let ours = [
        "▶ it began, and is told here: ",
        "⛔ nothing was done: ",
        "⏳ ",
    ];
    let is_ours = ours.iter().any(|ours| shown.content.starts_with(ours));
    shown.flags & LOADING != 0
        || (shown.flags & EPHEMERAL != 0 && is_ours && (links || !shown.content.contains("://")))
}

fn row(row: &Value, marks: &Marks) -> Result<(), String> {
    for button in row["components"].as_array().into_iter().flatten() {
        let label = button["label"].as_str().unwrap_or_default();
        characters(label)?;
        let leads_away = button.get("url").is_some() || button.get("emoji").is_some();
        let said = label.contains('\n') || label.contains(marks.printed.as_str());
        if button["type"] != 2 || leads_away || said {
            return Err(format!(
                "not a plain button, or it says what a program printed: {button}"
            ));
        }
    }
    Ok(())
}

/// Without what stands between two backticks, so that they are no mark.
fn without_nothing(text: &str) -> String {
    let mut text = text.to_owned();
    while text.contains("`\u{200b}`") {
        text = text.replace("`\u{200b}`", "``");
    }
    text
}

/// What a text is read as.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Words(String),
    Code(String),
    Block(String),
    Mention(String),
    Moment,
    /// One of ours.
    Link(String),
}

/// Reads a text; the error names a mark that is none of those which we set.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut words = String::new();
    let mut at = 0;
    let mut strong: Option<usize> = None;
    while at < text.len() {
        let rest = &text[at..];
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        if text[line..at].trim().is_empty()
            && let Some(mark) = begins_line(rest)
        {
            return Err(format!(
                "a line begins with the mark `{mark}`: `{}`",
                excerpt(rest)
            ));
        }
        let (piece, taken) = match special(rest)? {
            Some(found) => found,
            None if rest.starts_with("**") => {
                strong = match strong {
                    Some(_) => None,
                    None => Some(at),
                };
                at += 2;
                continue;
            }
            None => {
                let c = rest.chars().next().expect("not at the end");
                let (shown, taken) = match escaped(rest) {
                    Some(c) => (c, 1 + c.len_utf8()),
                    None => (c, c.len_utf8()),
                };
                words.push(shown);
                at += taken;
                continue;
            }
        };
        if !words.is_empty() {
            pieces.push(Piece::Words(std::mem::take(&mut words)));
        }
        pieces.push(piece);
        at += taken;
    }
    if let Some(at) = strong {
        return Err(format!("emphasis does not end: `{}`", excerpt(&text[at..])));
    }
    pieces.push(Piece::Words(words));
    Ok(pieces)
}

/// The character that a backslash makes an ordinary one.
fn escaped(rest: &str) -> Option<char> {
    let c = rest.strip_prefix('\\')?.chars().next()?;
    (!c.is_ascii_alphanumeric() && !c.is_whitespace()).then_some(c)
}

/// A heading, a small line, a quote, a list.
fn begins_line(rest: &str) -> Option<&'static str> {
    let marks = ["# ", "## ", "### ", "-# ", "> ", ">>> ", "- ", "* ", "+ "];
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if digits.len() < rest.len() && digits.starts_with(". ") {
        return Some("1. ");
    }
    marks.into_iter().find(|mark| rest.starts_with(mark))
}

/// What is more than a character, and how many bytes it takes.
fn special(rest: &str) -> Result<Option<(Piece, usize)>, String> {
    if let Some(found) = block(rest).or_else(|| code(rest)) {
        return Ok(Some(found));
    }
    if rest.starts_with('<') {
        return bracket(rest);
    }
    for (mark, what) in [
        ("@everyone", "calls everybody"),
        ("@here", "calls everybody"),
        ("||", "hides"),
        ("~~", "strikes out"),
        ("__", "underlines"),
    ] {
        if rest.starts_with(mark) {
            return Err(format!("a mark {what}: `{}`", excerpt(rest)));
        }
    }
    let lone = rest.starts_with('_') || (rest.starts_with('*') && !rest.starts_with("**"));
    if lone {
        return Err(format!("a mark emphasises: `{}`", excerpt(rest)));
    }
    if rest.starts_with('[')
        && rest
            .split('\n')
            .next()
            .is_some_and(|line| line.contains("]("))
    {
        return Err(format!("a masked link: `{}`", excerpt(rest)));
    }
    if ["http://", "https://", "steam://", "discord://"]
        .iter()
        .any(|it| rest.starts_with(it))
    {
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '<')
            .unwrap_or(rest.len());
        let link = &rest[..end];
        let id = |part: &str| part == "@me" || part.bytes().all(|byte| byte.is_ascii_digit());
        if link
            .strip_prefix(HOME)
            .is_some_and(|ids| ids.split('/').all(id))
        {
            return Ok(Some((Piece::Link(link.to_owned()), end)));
        }
        return Err(format!("a link: `{link}`"));
    }
    Ok(None)
}

/// `<@1>`, `<t:1:R>`; all else in such brackets leads somewhere.
fn bracket(rest: &str) -> Result<Option<(Piece, usize)>, String> {
    let Some(end) = rest.find('>') else {
        return Ok(None);
    };
    let inner = &rest[1..end];
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(id) = inner.strip_prefix('@') {
        let id = id.strip_prefix('!').unwrap_or(id);
        if digits(id) {
            return Ok(Some((Piece::Mention(id.to_owned()), end + 1)));
        }
    }
    if inner.starts_with("t:") {
        return Ok(Some((Piece::Moment, end + 1)));
    }
    let leads = ["@&", "#", ":", "a:", "/", "id:"];
    if leads.iter().any(|it| inner.starts_with(it)) || inner.contains(":/") {
        return Err(format!("a mark in brackets: `{}`", excerpt(rest)));
    }
    Ok(None)
}

/// Discord's expression: ```` ```(?:([a-z0-9_+\-.#]+?)\n)?\n*([^\n][^]*?)\n*``` ````.
fn block(rest: &str) -> Option<(Piece, usize)> {
    let after = rest.strip_prefix("```")?;
    let language = after.find(|c: char| !(c.is_ascii_alphanumeric() || "_+-.#".contains(c)));
    let inner = match language {
        Some(end) if end > 0 && after[end..].starts_with('\n') => &after[end + 1..],
        _ => after,
    };
    let inner = inner.trim_start_matches('\n');
    let first = inner.chars().next()?;
    let end = first.len_utf8() + inner[first.len_utf8()..].find("```")?;
    let taken = rest.len() - inner.len() + end + 3;
    let block = inner[..end].trim_end_matches('\n');
    Some((Piece::Block(block.to_owned()), taken))
}

/// Discord's expression: ``(`+)([\s\S]*?[^`])\1(?!`)``, which may begin with fewer backticks than there are.
fn code(rest: &str) -> Option<(Piece, usize)> {
    let ticks = rest.bytes().take_while(|byte| *byte == b'`').count();
    for count in (1..=ticks).rev() {
        let mark = &rest[..count];
        let mut from = ticks + 1;
        while let Some(found) = rest.get(from..).and_then(|it| it.find(mark)) {
            let end = from + found;
            let run = rest[end..].bytes().take_while(|byte| *byte == b'`').count();
            if run == count && !rest[..end].ends_with('`') {
                return Some((Piece::Code(rest[count..end].to_owned()), end + count));
            }
            from = end + run.max(1);
        }
    }
    None
}

fn excerpt(text: &str) -> String {
    text.chars().take(120).collect()
}

/// Whether the reader sees what Discord's clients show; a blind one finds nothing.
pub(super) fn is_able_to_read() -> Result<(), String> {
    let block = |text: &str| Piece::Block(text.to_owned());
    let words = |text: &str| Piece::Words(text.to_owned());
    let rows = [
        ("```\na\n```", vec![block("a"), words("")]),
        ("```\na```b", vec![block("a"), words("b")]),
        (
            "```\n\n```\nb\n```\nc\n```",
            vec![block("```\nb"), words("\nc\n```")],
        ),
        ("`a`b", vec![Piece::Code("a".to_owned()), words("b")]),
        (
            "``a`b`` c",
            vec![Piece::Code("a`b".to_owned()), words(" c")],
        ),
        (r"\`a\` \<@1>", vec![words("`a` <@1>")]),
        ("<@17>", vec![Piece::Mention("17".to_owned()), words("")]),
        ("**a**", vec![words("a")]),
    ];
    for (text, expected) in rows {
        let read = pieces(text)?;
        if read != expected {
            return Err(format!("`{text}` is read as {read:?}"));
        }
    }
    let marks = [
        "# a",
        "x\n> a",
        "-# a",
        "- a",
        "2. a",
        "_a_",
        "*a*",
        "__a__",
        "~~a~~",
        "||a||",
        "@everyone",
        "@here",
        "<#1>",
        "<@&1>",
        "<:a:1>",
        "<https://a.test>",
        "https://a.test",
        "[a](https://a.test)",
    ];
    match marks.iter().find(|text| pieces(text).is_ok()) {
        Some(text) => Err(format!("`{text}` is read as words")),
        None => Ok(()),
    }
}
