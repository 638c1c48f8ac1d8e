//! Secrets as people have them.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// A secret, and the name that a command calls it by.
#[derive(Debug, Clone)]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) value: String,
}

impl Secret {
    /// The next after these: one kind after the other.
    pub(super) fn next(before: &[Self], random: &mut StdRng) -> Self {
        let n = before.len();
        let mut some = |from: &str, length: usize| text(from, length, random);
        let value = match n % 14 {
            0 => some(ALNUM, 32),
            1 => some("0123456789abcdef", 40),
            // One that another is a part of, and one that begins as another ends.
            2 => format!(
                "{}{}{}",
                some(ALNUM, 9),
                before[n - 2].value,
                some(ALNUM, 9)
            ),
            3 => format!("{}{}", &before[n - 1].value[30..], some(ALNUM, 20)),
            4 => some(BASE64, 43) + "=",
            5 => format!("ghp_{}", some(ALNUM, 36)),
            6 => format!("{}{}{}", some(ALNUM, 3), some(SYMBOLS, 14), some(ALNUM, 3)),
            7 => format!(
                "{} {} {} {}",
                some(LETTERS, 6),
                some(LETTERS, 5),
                some(LETTERS, 8),
                some(LETTERS, 7)
            ),
            8 => format!(
                "{}{}{}",
                some("aé日ß💥ñ5Ω", 9),
                some(ALNUM, 8),
                some("éüж7", 4)
            ),
            9 => format!(
                "-----MADE FOR CANARIES-----\n{}\n{}\n{}\n-----MADE FOR CANARIES-----",
                some(BASE64, 64),
                some(BASE64, 64),
                some(BASE64, 31)
            ),
            10 => format!(
                "{}-{}-{}-{}",
                some("0123456789abcdef", 8),
                some("0123456789abcdef", 4),
                some("0123456789abcdef", 4),
                some("0123456789abcdef", 12)
            ),
            11 => format!(
                "https://{}:{}@{}.test/{}?k={}&l=/",
                some(LETTERS, 6),
                some(ALNUM, 12),
                some(LETTERS, 7),
                some(ALNUM, 9),
                some(ALNUM, 9)
            ),
            12 => some(ALNUM, 10),
            13 => format!(
                "{{\"id\": \"{}\",\n  \"key\": \"{}\\n{}\"}}",
                some(ALNUM, 14),
                some(BASE64, 30),
                some(BASE64, 22)
            ),
            _ => unreachable!("a remainder of fourteen"),
        };
        Self {
            name: format!("s{n}"),
            value,
        }
    }
}

const LETTERS: &str = "bcdfghjklmnpqrstvwxzaeiouy";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SYMBOLS: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~AZaz09";

fn text(from: &str, length: usize, random: &mut StdRng) -> String {
    let from: Vec<char> = from.chars().collect();
    (0..length)
        .map(|_| *from.choose(random).expect("there are some"))
        .collect()
}

/// A number below this one.
pub(super) fn below(limit: usize, random: &mut StdRng) -> usize {
    random.random_range(0..limit)
}
