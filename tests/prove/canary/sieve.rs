//! Finds pieces of secrets in whatever left the process.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::encodings::ENCODINGS;
use super::secrets::Secret;

/// So many bytes of a secret, in any encoding, are a leak.
const PIECE: usize = 8;
/// So many more, where all are hexadecimal digits: eight of those stand in some digest or other by chance.
const MORE_DIGITS: usize = 6;
/// How often each encoding is made, as it has variants.
const VARIANTS: usize = 24;

/// Knows all pieces of all encodings of some secrets.
pub(super) struct Sieve {
    pieces: HashMap<[u8; PIECE], Vec<Known>>,
    /// The first four bytes of each, hashed: most bytes are passed over by it.
    begins: Vec<bool>,
}

/// Where a piece is from.
struct Known {
    what: String,
    /// What follows in the secret; empty where the piece alone tells.
    digits: Vec<u8>,
}

impl Sieve {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let mut sieve = Self {
            pieces: HashMap::new(),
            begins: vec![false; 1 << 20],
        };
        for secret in secrets {
            // The variants are chosen at random; these tries find them all, but for alignments that do not matter.
            let mut random = StdRng::seed_from_u64(1);
            for (name, encode) in ENCODINGS {
                for _ in 0..VARIANTS {
                    let form = encode(&secret.value, &mut random);
                    for line in form.telling().lines() {
                        sieve.add(line, &format!("{} {name}", secret.name));
                    }
                }
            }
        }
        sieve
    }

    fn add(&mut self, text: &str, what: &str) {
        let bytes = text.as_bytes();
        for (at, piece) in bytes.windows(PIECE).enumerate() {
            let mut different = piece.to_vec();
            different.sort_unstable();
            different.dedup();
            // `=====` and `        ` tell nothing.
            if different.len() < 5 {
                continue;
            }
            let digits = if piece.iter().all(u8::is_ascii_hexdigit) {
                let Some(digits) = bytes.get(at + PIECE..at + PIECE + MORE_DIGITS) else {
                    continue; // What begins earlier has them.
                };
                digits.to_vec()
            } else {
                Vec::new()
            };
            let piece: [u8; PIECE] = piece.try_into().expect("it is so long");
            self.begins[begin(piece)] = true;
            let known = self.pieces.entry(piece).or_default();
            if known.iter().all(|it| it.digits != digits) {
                let what = what.to_owned();
                known.push(Known { what, digits });
            }
        }
    }

    /// The first leak: what leaked, and what stands around it.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<String> {
        bytes.windows(PIECE).enumerate().find_map(|(at, window)| {
            let piece: [u8; PIECE] = window.try_into().expect("it is so long");
            let known = self.begins[begin(piece)].then(|| self.pieces.get(&piece))??;
            let follows = &bytes[at + PIECE..];
            let leaked = known.iter().find(|it| follows.starts_with(&it.digits))?;
            let around = &bytes[at.saturating_sub(120)..bytes.len().min(at + 80)];
            let piece = String::from_utf8_lossy(&piece).into_owned();
            Some(format!(
                "{}: `{piece}` in `{}`",
                leaked.what,
                String::from_utf8_lossy(around)
            ))
        })
    }

    /// Fails the proof when anything leaked, also over the ends of lines.
    pub(super) fn check(&self, place: &str, bytes: &[u8]) {
        let unbroken: Vec<u8> = bytes
            .iter()
            .copied()
            .filter(|byte| !b"\r\n\t ".contains(byte))
            .collect();
        if let Some(leak) = self.find(bytes).or_else(|| self.find(&unbroken)) {
            panic!("a secret leaked into {place}: {leak}");
        }
    }
}

fn begin(piece: [u8; PIECE]) -> usize {
    let first = u32::from_le_bytes([piece[0], piece[1], piece[2], piece[3]]);
    (first.wrapping_mul(2_654_435_761) >> 12) as usize
}
