//! What was probably meant, and how typed text is repeated to people.

/// The candidate that was probably meant; `None` when nothing is near enough to be worth saying.
pub(in crate::domain) fn nearest<'a>(
    typed: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = comparable(typed);
    let length = typed.chars().count();
    candidates
        .filter_map(|candidate| {
            let other = comparable(candidate);
            // `production` and `prod`, `stag` and `staging`: close, however many letters they lack.
            let begins =
                length >= 2 && (other.starts_with(&typed) || begins_with_word(&typed, &other));
            let distance = strsim::damerau_levenshtein(&typed, &other);
            let near = distance <= (length / 3).max(1) && distance < length;
            (near || begins).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

fn begins_with_word(typed: &str, candidate: &str) -> bool {
    candidate.len() >= 3 && typed.starts_with(candidate)
}

/// Case, `_` and over-long tails don't count.
fn comparable(text: &str) -> String {
    text.chars()
        .take(60)
        .flat_map(char::to_lowercase)
        .map(|c| if c == '_' { '-' } else { c })
        .collect()
}

/// Typed text as it is repeated: one line, at most 60 characters.
pub(in crate::domain) fn echo(typed: &str) -> String {
    const LONGEST: usize = 60;
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = typed.chars().take(LONGEST).map(clean).collect();
    if typed.chars().nth(LONGEST).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_one_a_person_would_mean() {
        let words = ["staging", "prod", "flush-cache", "status", "restart"];
        for (typed, expected) in [
            ("prdo", Some("prod")),
            ("Production", Some("prod")),
            ("stag", Some("staging")),
            ("flush_cache", Some("flush-cache")),
            ("flushcache", Some("flush-cache")),
            ("x", None),
            ("kubernetes", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, words.into_iter()), expected, "{typed}");
        }
    }

    #[test]
    fn what_is_repeated_is_short_and_on_one_line() {
        assert_eq!(echo("a\nb"), "a\u{fffd}b");
        assert_eq!(echo(&"é".repeat(61)).chars().count(), 60);
        assert_eq!(echo(&"é".repeat(60)), "é".repeat(60));
    }
}
