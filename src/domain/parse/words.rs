//! Splits what people type into words, as chat clients deliver it: smart quotes, strange spaces, invisible characters.

use std::ops::Range;

use crate::domain::{Refusal, quoted};

/// What we read at most, in characters.
pub(in crate::domain) const LONGEST_LINE: usize = 4_000;
/// What we read at most, in words.
pub(in crate::domain) const MOST_WORDS: usize = 200;

/// One word, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domain) struct Word {
    /// What it says.
    pub(in crate::domain) text: String,
    /// How many bytes of `text` stand before its first quote. Only in there can `--` and `=` mean something.
    pub(in crate::domain) bare: usize,
    /// Where it stands in the line, in bytes.
    pub(in crate::domain) at: Range<usize>,
    /// Whether any of it was quoted.
    pub(in crate::domain) quoted: bool,
}

impl Word {
    /// The unquoted beginning.
    pub(in crate::domain) fn bare(&self) -> &str {
        self.text.get(..self.bare).unwrap_or_default()
    }

    /// `key` and the value's text, for `key=value` with an unquoted, name-like key.
    pub(in crate::domain) fn pair(&self) -> Option<(&str, &str)> {
        let key = self.bare().split_once('=')?.0;
        let named = key.starts_with(|c: char| c.is_ascii_alphanumeric())
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let value = self.text.get(key.len() + 1..)?;
        named.then_some((key, value))
    }

    /// Whether it is this word, in any case and not quoted.
    pub(in crate::domain) fn is(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }

    /// The word as it has to be typed.
    pub(in crate::domain) fn typed(&self) -> String {
        if !self.quoted {
            return self.text.clone();
        }
        match self.bare().split_once('=') {
            Some((key, _)) => {
                let value = self.text.get(key.len() + 1..).unwrap_or_default();
                format!("{key}={}", quoted(value))
            }
            None => quoted(&self.text),
        }
    }
}

/// The words of a line.
pub(in crate::domain) fn split(line: &str) -> Result<Vec<Word>, Refusal> {
    if line.chars().nth(LONGEST_LINE).is_some() {
        return Err(Refusal::TooLong {
            limit: LONGEST_LINE,
        });
    }
    let (words, open) = split_loosely(line);
    if words.len() > MOST_WORDS {
        return Err(Refusal::TooLong {
            limit: LONGEST_LINE,
        });
    }
    if open {
        return Err(Refusal::OpenQuote);
    }
    Ok(words)
}

/// The words of a line that may not be finished, and whether a quote is still open at its end.
pub(in crate::domain) fn split_loosely(line: &str) -> (Vec<Word>, bool) {
    let mut splitter = Splitter::default();
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let following = chars.peek().map(|(_, next)| *next);
        if splitter.take(at, c, following) == Eaten::Two {
            chars.next();
        }
    }
    let open = splitter.quote.is_some();
    splitter.finish(line.len());
    (splitter.words, open)
}

#[derive(Default)]
struct Splitter {
    words: Vec<Word>,
    current: Option<Word>,
    quote: Option<Quote>,
}

/// How many characters were used up.
#[derive(PartialEq)]
enum Eaten {
    One,
    Two,
}

/// A kind of quote.
#[derive(Clone, Copy)]
struct Quote {
    closed_by: &'static str,
    /// Single quotes know no escapes, and an apostrophe within a word does not close them.
    single: bool,
}

impl Splitter {
    fn take(&mut self, at: usize, c: char, following: Option<char>) -> Eaten {
        if invisible(c) {
            return Eaten::One;
        }
        if let Some(quote) = self.quote {
            return self.take_quoted(quote, c, following);
        }
        if c.is_whitespace() {
            self.finish(at);
            return Eaten::One;
        }
        let word = self.current.get_or_insert_with(|| Word {
            text: String::new(),
            bare: 0,
            at: at..at,
            quoted: false,
        });
        self.quote = opened_by(c, word);
        if self.quote.is_some() {
            word.quoted = true;
        } else {
            word.text.push(c);
            if !word.quoted {
                word.bare = word.text.len();
            }
        }
        Eaten::One
    }

    fn take_quoted(&mut self, quote: Quote, c: char, following: Option<char>) -> Eaten {
        let Some(word) = &mut self.current else {
            return Eaten::One;
        };
        let escaped = following.filter(|next| {
            c == '\\' && !quote.single && (*next == '\\' || quote.closed_by.contains(*next))
        });
        if let Some(escaped) = escaped {
            word.text.push(escaped);
            return Eaten::Two;
        }
        let apostrophe = quote.single && following.is_some_and(char::is_alphanumeric);
        if quote.closed_by.contains(c) && !apostrophe {
            self.quote = None;
        } else if c.is_whitespace() && !c.is_ascii() {
            word.text.push(' ');
        } else {
            word.text.push(c);
        }
        Eaten::One
    }

    fn finish(&mut self, end: usize) {
        let Some(mut word) = self.current.take() else {
            return;
        };
        word.at.end = end;
        // Chat clients turn `--again` into `—again` while it is typed.
        let dashed = word
            .bare()
            .strip_prefix(['–', '—'])
            .filter(|rest| rest.starts_with(char::is_alphabetic))
            .map(str::len);
        if let Some(rest) = dashed {
            let dash = word.bare - rest;
            word.text.replace_range(..dash, "--");
            word.bare = rest + 2;
        }
        self.words.push(word);
    }
}

/// The quote that this character opens at the end of the word so far.
fn opened_by(c: char, word: &Word) -> Option<Quote> {
    let (closed_by, single) = match c {
        '"' => ("\"", false),
        '“' => ("”\"", false),
        '„' => ("“”\"", false),
        '«' => ("»\"", false),
        '\'' => ("'", true),
        '‘' => ("’'", true),
        _ => return None,
    };
    // An apostrophe inside a word is one: `don't`.
    let may_open = !single || word.text.is_empty() || word.text.ends_with(['=', ',']);
    may_open.then_some(Quote { closed_by, single })
}

/// Zero-width characters, bidirectional controls and tags: they change what is read without being seen.
fn invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_people_mean_them() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("plain spaces", "  a  b\tc\nd ", &["a", "b", "c", "d"]),
            (
                "no-break, narrow, figure and ideographic spaces",
                "a\u{a0}b\u{202f}c\u{2007}d\u{3000}e",
                &["a", "b", "c", "d", "e"],
            ),
            ("double quotes", r#"a "b c" d"#, &["a", "b c", "d"]),
            ("single quotes", "a 'b \" c' d", &["a", "b \" c", "d"]),
            ("smart quotes", "“b c” ‘d e’", &["b c", "d e"]),
            ("german and french quotes", "„b c“ «d e»", &["b c", "d e"]),
            ("half-smart quotes", "“b c\" ‘d e'", &["b c", "d e"]),
            (
                "an apostrophe inside a word",
                "don't won’t",
                &["don't", "won’t"],
            ),
            ("an apostrophe inside quotes", "'don't go'", &["don't go"]),
            ("escapes", r#""a \"b\" \\ \n""#, &[r#"a "b" \ \n"#]),
            ("a quoted value", r#"path="/a b""#, &["path=/a b"]),
            ("an empty word", r#"a """#, &["a", ""]),
            ("an em dash", "—again –no-x", &["--again", "--no-x"]),
            ("a dash by itself", "— –5 -", &["—", "–5", "-"]),
            ("invisible characters", "fl\u{200b}ush\u{202e}", &["flush"]),
            ("nothing but them", "\u{200b}\u{feff}", &[]),
            ("a no-break space in quotes", "\"a\u{a0}b\"", &["a b"]),
        ];
        for (name, line, expected) in rows {
            let words = split(line).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
            let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            assert_eq!(&texts, expected, "{name}");
        }
    }

    #[test]
    fn an_open_quote_is_refused() {
        for line in ["\"a", "'a b", "“a b", "a=\"b", "a\"b", "\"a\\\""] {
            assert_eq!(split(line), Err(Refusal::OpenQuote), "{line}");
        }
    }

    #[test]
    fn a_pair_has_an_unquoted_name_like_key() {
        for (line, expected) in [
            ("path=/x", Some(("path", "/x"))),
            ("path=\"a=b\"", Some(("path", "a=b"))),
            ("\"path=/x\"", None),
            ("https://x/?a=b", None),
            ("=x", None),
            ("--path=/x", None),
        ] {
            let words = split(line).unwrap();
            assert_eq!(words[0].pair(), expected, "{line}");
        }
    }
}
