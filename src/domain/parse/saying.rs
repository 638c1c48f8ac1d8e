//! Says in our grammar what a program gave by name, so that both go the one way. What the grammar can't say is refused:
//! nothing is left out in silence.

use super::words::{Word, split_loosely};
use crate::domain::quoted;

/// `key=value` as it is typed. `None` where the value would be read as another: the grammar looks through invisible
/// characters and takes some quotes for others.
pub fn say_pair(key: &str, value: &str) -> Option<String> {
    let said = format!("{key}={}", quoted(value));
    // However long it is: whoever reads the whole line says that.
    let (read, is_open) = split_loosely(&said);
    let same = |word: &Word| word.pair() == Some((key, value));
    (!is_open && matches!(read.as_slice(), [word] if same(word))).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::super::words::split;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_said_so_that_they_are_read_as_they_were_given() {
        for value in [
            "/x",
            "",
            "a b",
            "say \"hi\" \\ 'so'",
            "--again",
            "a=b",
            "`x`",
            "a\nb",
        ] {
            let said = say_pair("path", value).unwrap_or_else(|| panic!("{value:?}"));
            let words = split(&said).unwrap();
            assert_eq!(words.len(), 1, "{said}");
            assert_eq!(words[0].pair(), Some(("path", value)), "{said}");
        }
        for (key, value) in [("path", "a\u{200b}b"), ("a b", "x"), ("", "x"), ("-x", "y")] {
            assert_eq!(say_pair(key, value), None, "{key:?} {value:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_said_is_one_word_and_reads_back(value in ".{0,60}") {
            if let Some(said) = say_pair("path", &value) {
                let words = split(&said).unwrap();
                prop_assert_eq!(words.len(), 1);
                prop_assert_eq!(words[0].pair(), Some(("path", value.as_str())));
            }
        }
    }
}
