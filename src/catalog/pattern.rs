//! The regular expressions that users write: bounded, and explained when they are wrong.

use regex::Regex;

use super::at::At;
use super::diagnostic::Diagnostic;

/// Compiled, in bytes.
const LARGEST_PATTERN: usize = 1 << 20;

/// Compiles a pattern that must match the whole text. `\w`, `\d` and `\s` mean ASCII.
///
/// With all of Unicode, `[\w/.-]{0,200}` takes megabytes and a third of a second, and lets in letters that look like
/// others.
pub(crate) fn whole(pattern: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<Regex> {
    // The part is parsed first by itself: an unbalanced `a)|(b` must not become valid by our brackets. The tiny limit
    // makes that cheap: what is well-formed fails by its size only.
    let well_formed = match regex(pattern, 1) {
        Err(error @ regex::Error::Syntax(_)) => Err(error),
        _ => Ok(()),
    };
    let compiled =
        well_formed.and_then(|()| regex(&format!("^(?:{})$", ascii(pattern)), LARGEST_PATTERN));
    compiled
        .map_err(|error| notes.push(bad_pattern(at, &error)))
        .ok()
}

/// Writes the classes out. Inside brackets a bracketed class is a part of the set, so the place makes no difference.
fn ascii(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { rest.next() } else { None };
        match escaped {
            Some('w') => written.push_str("[0-9A-Za-z_]"),
            Some('d') => written.push_str("[0-9]"),
            Some('s') => written.push_str("[ \\t\\n\\r]"),
            other => {
                written.push(c);
                written.extend(other);
            }
        }
    }
    written
}

fn regex(pattern: &str, limit: usize) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).size_limit(limit).build()
}

/// The complaint about a pattern.
pub(crate) fn bad_pattern(at: At<'_>, error: &regex::Error) -> Diagnostic {
    if let regex::Error::CompiledTooBig(_) = error {
        let hint = "repeat less often; `longest` limits the length too";
        return at
            .error("this pattern is too large when it is compiled")
            .hint(hint);
    }
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default().trim();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    at.error(format!("this is no regular expression: {reason}"))
        .hint("use single quotes around patterns, so that `\\` stays as it is")
}
