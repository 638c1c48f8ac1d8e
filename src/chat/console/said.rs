//! Tells what a line is meant for: our grammar, or the console itself.

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// An empty line or a comment.
    Nothing,
    /// In our grammar, without `/ops`.
    Command(String),
    /// Speak as this person from here on.
    PlayAs(String),
    /// Speak in this channel from here on.
    GoTo(String),
    /// Stop.
    Leave,
    /// Begins with `/` and is none of these.
    Unknown(String),
}

/// Reads one line.
pub(super) fn said(line: &str) -> Said {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Said::Nothing;
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    match word {
        "/ops" => Said::Command(rest.to_owned()),
        "/help" => Said::Command(format!("help {rest}").trim_end().to_owned()),
        "/as" => Said::PlayAs(rest.trim_start_matches('@').to_owned()),
        "/in" => Said::GoTo(rest.trim_start_matches('#').to_owned()),
        "/quit" | "/exit" => Said::Leave,
        _ if word.starts_with('/') => Said::Unknown(word.to_owned()),
        _ => Said::Command(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_ours_or_the_consoles() {
        let command = |text: &str| Said::Command(text.to_owned());
        for (line, meant) in [
            ("", Said::Nothing),
            (" \t ", Said::Nothing),
            ("# a comment", Said::Nothing),
            ("/ops flush-cache prod", command("flush-cache prod")),
            ("  /ops   flush-cache  prod ", command("flush-cache  prod")),
            ("/ops\u{a0}list", command("list")),
            ("/ops", command("")),
            ("flush-cache prod", command("flush-cache prod")),
            ("/help", command("help")),
            ("/help flush-cache", command("help flush-cache")),
            ("/as kim", Said::PlayAs("kim".to_owned())),
            ("/as", Said::PlayAs(String::new())),
            ("/in #shop", Said::GoTo("shop".to_owned())),
            ("/quit", Said::Leave),
            ("/opsy x", Said::Unknown("/opsy".to_owned())),
            ("/flush-cache", Said::Unknown("/flush-cache".to_owned())),
        ] {
            assert_eq!(said(line), meant, "{line:?}");
        }
    }
}
