//! Finds pieces of secrets in whatever left the process.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::encodings::ENCODINGS;
use super::secrets::Secret;

/// So many bytes of a secret, in any encoding, are a leak.
const PIECE: usize = 8;
/// How often each encoding is made, as it has variants.
const VARIANTS: usize = 24;

/// Knows all pieces of all encodings of some secrets.
pub(super) struct Sieve {
    pieces: HashMap<[u8; PIECE], String>,
    /// The first four bytes of each, hashed: most bytes are passed over by it.
    begins: Vec<bool>,
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
        for piece in text.as_bytes().windows(PIECE) {
            let mut different = piece.to_vec();
            different.sort_unstable();
            different.dedup();
            // `=====` and `        ` tell nothing.
            if different.len() >= 5 {
                let piece: [u8; PIECE] = piece.try_into().expect("it is so long");
                self.begins[begin(piece)] = true;
                self.pieces.entry(piece).or_insert_with(|| what.to_owned());
            }
        }
    }

    /// The first leak: what leaked, and what stands around it.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<String> {
        bytes.windows(PIECE).enumerate().find_map(|(at, window)| {
            let piece: [u8; PIECE] = window.try_into().expect("it is so long");
            let what = self.begins[begin(piece)].then(|| self.pieces.get(&piece))??;
            let around = &bytes[at.saturating_sub(120)..bytes.len().min(at + 80)];
            let piece = String::from_utf8_lossy(&piece).into_owned();
            Some(format!(
                "{what}: `{piece}` in `{}`",
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
