//! How requests of Discord are forged: what an attacker has who knows our address, the public key, other apps' keys, and
//! requests that Discord once sent, but not its private key. What is signed rightly here lacks something else.

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sha2::{Digest, Sha256};

use super::craft::{Framing, Request};
use crate::fakes::discord::{BOT_TOKEN, FakeDiscord};

pub(super) const PATH: &str = "/discord/interactions";
pub(super) const STAMP: &str = "x-signature-timestamp";
pub(super) const SIGNATURE: &str = "x-signature-ed25519";

/// The order of the curve's main group, least byte first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Points of small order, as they should be written and as they should not: see "Taming the many EdDSAs", table 1.
const SMALL: &[&str] = &[
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// What one forgery is made of.
pub(super) struct Craft<'a> {
    pub(super) random: &'a mut StdRng,
    /// Seconds, as Discord writes them.
    pub(super) now: i64,
    /// What the forger wants to be heard.
    pub(super) body: Vec<u8>,
    /// Requests that Discord sent lately, and that were seen on their way.
    pub(super) seen: &'a [Request],
    /// As the developer portal shows it.
    pub(super) public_key: &'a str,
}

/// Discord's signature.
fn right_bytes(stamp: impl AsRef<[u8]>, body: &[u8]) -> [u8; 64] {
    FakeDiscord::signature_of(&[stamp.as_ref(), body].concat())
}

/// The same as Discord writes it.
pub(super) fn right(stamp: impl AsRef<[u8]>, body: &[u8]) -> String {
    HEXLOWER.encode(&right_bytes(stamp, body))
}

/// As Discord sends it.
pub(super) fn genuine(body: Vec<u8>, stamp: i64) -> Request {
    let stamp = stamp.to_string();
    let signature = right(&stamp, &body);
    stamped(body, stamp, signature)
}

fn stamped(body: Vec<u8>, stamp: impl AsRef<[u8]>, signature: impl AsRef<[u8]>) -> Request {
    Request::to(PATH, body)
        .with(SIGNATURE, signature)
        .with(STAMP, stamp)
}

type Forge = fn(&mut Craft<'_>) -> Request;

/// Every kind of forgery, by name.
pub(super) const FORGERIES: &[(&str, Forge)] = &[
    ("signed with another key", |c| {
        let seed: [u8; 32] = c.random.random();
        c.signed_by(seed)
    }),
    ("signed with a key made of what is known", |c| {
        let seeds = [
            public_bytes(c.public_key),
            [0; 32],
            [0xff; 32],
            Sha256::digest(BOT_TOKEN).into(),
            Sha256::digest(c.public_key).into(),
            Sha256::digest("").into(),
        ];
        let seed = *seeds.choose(c.random).expect("some");
        c.signed_by(seed)
    }),
    ("signed as Slack would", |c| {
        let mut mac = Hmac::<Sha256>::new_from_slice(c.public_key.as_bytes()).expect("any key");
        mac.update(format!("v0:{}:", c.now).as_bytes());
        mac.update(&c.body);
        let code = HEXLOWER.encode(&mac.finalize().into_bytes());
        let twice = format!("{code}{code}");
        let given = [format!("v0={code}"), twice, code];
        let given = given.choose(c.random).expect("some").clone();
        c.with_signature(given)
    }),
    ("of another request's body", |c| {
        let other = c.another().body;
        c.of(&[&c.stamp(), &other])
    }),
    ("of an empty body", |c| c.of(&[&c.stamp()])),
    ("of the body without the time", |c| c.of(&[&c.body])),
    ("of the time behind the body", |c| {
        c.of(&[&c.body, &c.stamp()])
    }),
    ("of time and body with something between", |c| {
        let between: [&[u8]; 5] = [b":", b".", b"\n", b" ", b"\0"];
        let between = *between.choose(c.random).expect("some");
        c.of(&[&c.stamp(), between, &c.body])
    }),
    ("of a digest", |c| {
        let digest = Sha256::digest([c.stamp(), c.body.clone()].concat());
        c.of(&[&digest])
    }),
    ("a bit of the body flipped", |c| {
        let signature = c.right();
        let at = c.random.random_range(0..c.body.len());
        c.body[at] ^= 1 << c.random.random_range(0..8);
        c.with_signature(signature)
    }),
    ("a byte more, less or moved in the body", |c| {
        let signature = c.right();
        let at = c.random.random_range(0..c.body.len());
        match c.random.random_range(0..4) {
            0 => c.body.insert(at, b' '),
            1 => drop(c.body.remove(at)),
            2 => c.body.push(*b"\n\0 }".choose(c.random).expect("some")),
            _ => c.body.insert(0, b' '),
        }
        c.with_signature(signature)
    }),
    ("the same meaning in other bytes", |c| {
        let signature = c.right();
        let text = String::from_utf8(std::mem::take(&mut c.body)).expect("text");
        c.body = text.replacen(':', ": ", 1).into_bytes();
        c.with_signature(signature)
    }),
    ("more appended to what Discord signed", |c| {
        let seen = c.another();
        let body = [seen.body.as_slice(), &c.body].concat();
        Request { body, ..seen }
    }),
    ("put before what Discord signed", |c| {
        let seen = c.another();
        let body = [c.body.as_slice(), &seen.body].concat();
        Request { body, ..seen }
    }),
    // Discord signs the two as one text: where the time ends is not signed.
    ("digits of the time moved into the body", |c| {
        let (stamp, signature) = (c.stamp(), c.right());
        let at = c.random.random_range(0..stamp.len());
        let body = [&stamp[at..], &c.body].concat();
        stamped(body, &stamp[..at], signature)
    }),
    ("the body's beginning moved into the time", |c| {
        let signature = c.right();
        let at = c.random.random_range(1..20);
        let stamp = [&c.stamp(), &c.body[..at]].concat();
        stamped(c.body[at..].to_vec(), stamp, signature)
    }),
    ("the headers of a request that Discord sent", |c| {
        let headers = c.another().headers;
        Request {
            headers,
            ..Request::to(PATH, c.body.clone())
        }
    }),
    ("a bit of the signature flipped", |c| {
        let mut signature = c.right_bytes();
        signature[c.random.random_range(0..64)] ^= 1 << c.random.random_range(0..8);
        c.with_bytes(&signature)
    }),
    ("a digit of the signature is none", |c| {
        let mut signature = c.right().into_bytes();
        let at = c.random.random_range(0..signature.len());
        signature[at] = *b"gGzZ -_+./=%".choose(c.random).expect("some");
        c.with_signature(signature)
    }),
    ("truncated", |c| {
        let signature = c.right();
        let length = c.random.random_range(0..signature.len());
        c.with_signature(&signature[..length])
    }),
    ("only its first half", |c| {
        c.with_signature(&c.right()[..64])
    }),
    ("longer", |c| {
        let more = [
            "0",
            "00",
            "\t0",
            ",",
            ";",
            "=",
            "\u{a0}",
            "0000000000000000",
        ];
        let more = *more.choose(c.random).expect("some");
        c.with_signature(c.right() + more)
    }),
    ("very long", |c| {
        let times = c.random.random_range(2..200);
        c.with_signature(c.right().repeat(times))
    }),
    ("with something before it", |c| {
        let before = ["0x", "00", "ed25519=", "v0=", "Ed25519 ", "\"", "-"];
        let before = *before.choose(c.random).expect("some");
        c.with_signature(before.to_owned() + &c.right())
    }),
    ("in another alphabet", |c| {
        let bytes = c.right_bytes();
        let spelt = [
            BASE64.encode(&bytes),
            data_encoding::BASE64URL_NOPAD.encode(&bytes),
            data_encoding::BASE32.encode(&bytes),
            HEXLOWER.encode(c.right().as_bytes()),
            bytes.map(|byte| format!("{byte:02x}")).join(":"),
            bytes.map(|byte| format!("%{byte:02x}")).concat(),
        ];
        let spelt = spelt.choose(c.random).expect("some").clone();
        c.with_signature(spelt)
    }),
    ("its halves in the other order", |c| {
        let bytes = c.right_bytes();
        c.with_bytes(&[&bytes[32..], &bytes[..32]].concat())
    }),
    ("its bytes backwards", |c| {
        let mut bytes = c.right_bytes();
        match c.random.random_range(0..3) {
            0 => bytes.reverse(),
            1 => bytes[..32].reverse(),
            _ => bytes[32..].reverse(),
        }
        c.with_bytes(&bytes)
    }),
    // S and S + L stand for the same number: a check that takes both lets anybody write a second signature.
    ("the order added to its scalar", |c| {
        let mut bytes = c.right_bytes();
        for _ in 0..c.random.random_range(1..9) {
            add_order(&mut bytes);
        }
        c.with_bytes(&bytes)
    }),
    ("high bits set in its scalar", |c| {
        let mut bytes = c.right_bytes();
        bytes[63] |= 1 << c.random.random_range(5..8);
        c.with_bytes(&bytes)
    }),
    ("its scalar negated", |c| {
        let mut bytes = c.right_bytes();
        negate(&mut bytes);
        if c.random.random() {
            bytes[31] ^= 0x80;
        }
        c.with_bytes(&bytes)
    }),
    ("the sign of its point flipped", |c| {
        let mut bytes = c.right_bytes();
        bytes[31] ^= 0x80;
        c.with_bytes(&bytes)
    }),
    ("a point of small order", |c| {
        let mut bytes = c.right_bytes();
        bytes[..32].copy_from_slice(&small(c.random));
        if c.random.random() {
            bytes[32..].fill(0);
        }
        c.with_bytes(&bytes)
    }),
    ("a scalar that is nothing or the order", |c| {
        let mut bytes = c.right_bytes();
        let scalars = [[0; 32], ORDER, [0xff; 32]];
        bytes[32..].copy_from_slice(scalars.choose(c.random).expect("some"));
        if c.random.random() {
            let points = [public_bytes(c.public_key), small(c.random), [0; 32]];
            bytes[..32].copy_from_slice(points.choose(c.random).expect("some"));
        }
        c.with_bytes(&bytes)
    }),
    ("a point that is none", |c| {
        let mut bytes = c.right_bytes();
        let points = [[0xff; 32], [2; 32], c.random.random()];
        bytes[..32].copy_from_slice(points.choose(c.random).expect("some"));
        c.with_bytes(&bytes)
    }),
    ("twice, one of them right", |c| {
        let (good, bad) = (c.right(), c.wrong());
        let (first, second) = if c.random.random() {
            (good, bad)
        } else {
            (bad, good)
        };
        let name = *[SIGNATURE, "X-Signature-Ed25519", "X-SIGNATURE-ED25519"]
            .choose(c.random)
            .expect("some");
        c.with_signature(first).with(name, second)
    }),
    ("the right one twice", |c| {
        let signature = c.right();
        c.with_signature(&signature).with(SIGNATURE, &signature)
    }),
    ("the time twice, one of them signed", |c| {
        let other = (c.now + c.random.random_range(1..200)).to_string();
        let (first, second) = if c.random.random() {
            (c.stamp(), other.into_bytes())
        } else {
            (other.into_bytes(), c.stamp())
        };
        Request::to(PATH, c.body.clone())
            .with(STAMP, first)
            .with(STAMP, second)
            .with(SIGNATURE, c.right())
    }),
    ("two in one header", |c| {
        let glue = *[",", ", ", ";", " "].choose(c.random).expect("some");
        let both = if c.random.random() {
            [c.right(), c.wrong()]
        } else {
            [c.wrong(), c.right()]
        };
        c.with_signature(both.join(glue))
    }),
    ("without a signature", |c| {
        Request::to(PATH, c.body.clone()).with(STAMP, c.stamp())
    }),
    ("without a time", |c| {
        let signature = right("", &c.body);
        Request::to(PATH, c.body.clone()).with(SIGNATURE, signature)
    }),
    ("without any header", |c| Request::to(PATH, c.body.clone())),
    ("with empty headers", |c| {
        let signature = right("", &c.body);
        let signature = if c.random.random() {
            signature
        } else {
            String::new()
        };
        stamped(c.body.clone(), "", signature)
    }),
    ("signed rightly, too late", |c| {
        let late = c.random.random_range(301..1_000_000);
        c.signed_at((c.now - late).to_string())
    }),
    ("signed rightly, just too late", |c| {
        let late = c.random.random_range(301..310);
        c.signed_at((c.now - late).to_string())
    }),
    ("signed rightly, too early", |c| {
        // A second may pass on the way, and it would be early no more.
        let early = c.random.random_range(320..1_000_000);
        c.signed_at((c.now + early).to_string())
    }),
    ("signed rightly, at a time that is none", |c| {
        let now = c.now;
        let stamps = [
            format!("+{now}"),
            format!("-{now}"),
            format!("{now}.0"),
            format!("{now}e0"),
            format!("0x{now:x}"),
            format!("{now} {now}"),
            format!("{now},{now}"),
            format!("{now}000"),
            format!("{now}000000"),
            format!("{}", i128::from(now) + (1 << 64)),
            format!("{}", i128::from(now) + (1 << 32)),
            format!("{}", i128::from(now) - (1 << 64)),
            i64::MAX.to_string(),
            i64::MIN.to_string(),
            "9".repeat(c.random.random_range(13..2_000)),
            format!("{}{now}", "0".repeat(c.random.random_range(3..40))),
            "NaN".to_owned(),
            "now".to_owned(),
            "1_000".to_owned(),
            now.to_string()
                .chars()
                .filter_map(|d| char::from_u32(0x660 + d.to_digit(10)?))
                .collect(),
        ];
        let stamp = stamps.choose(c.random).expect("some").clone();
        c.signed_at(stamp)
    }),
    ("the time with zeros before it", |c| {
        let zeros = "0".repeat(c.random.random_range(1..4));
        stamped(c.body.clone(), format!("{zeros}{}", c.now), c.right())
    }),
    ("the time moved", |c| {
        let moved = c.random.random_range(1..300) * [1, -1].choose(c.random).expect("some");
        stamped(c.body.clone(), (c.now + moved).to_string(), c.right())
    }),
    ("signed lately, the time made fresh", |c| {
        let old = c.now - c.random.random_range(301..1_000_000);
        c.with_signature(right(old.to_string(), &c.body))
    }),
    ("the signature elsewhere", |c| {
        let (stamp, signature) = (c.now.to_string(), c.right());
        let mut request = Request::to(PATH, c.body.clone());
        match c.random.random_range(0..4) {
            0 => {
                request.path = format!("{PATH}?{STAMP}={stamp}&{SIGNATURE}={signature}");
                request
            }
            1 => request.with(
                "cookie",
                format!("{STAMP}={stamp}; {SIGNATURE}={signature}"),
            ),
            2 => request.with("authorization", signature).with(STAMP, stamp),
            _ => request
                .with("x_signature_timestamp", stamp)
                .with("x_signature_ed25519", signature),
        }
    }),
    ("the signature after the body", |c| {
        c.with_signature(c.right()).framed(Framing::Trailer)
    }),
    ("a header's name with a blank", |c| {
        Request::to(PATH, c.body.clone())
            .with(STAMP, c.stamp())
            .with(&format!("{SIGNATURE} "), c.right())
    }),
    ("a header over two lines", |c| {
        let signature = c.right();
        let at = c.random.random_range(3..signature.len());
        c.with_signature(format!("{}\r\n {}", &signature[..at], &signature[at..]))
    }),
    ("signed rightly, by another method", |c| {
        let method = ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "post"]
            .choose(c.random)
            .expect("some");
        Request {
            method,
            ..c.with_signature(c.right())
        }
    }),
    ("signed rightly, to a path that is none", |c| {
        let paths = [
            format!("{PATH}/"),
            format!("/{PATH}"),
            PATH.to_uppercase(),
            format!("{PATH}%20"),
            format!("{PATH}/../interactions"),
            "/discord".to_owned(),
        ];
        let path = paths.choose(c.random).expect("some").clone();
        Request {
            path,
            ..c.with_signature(c.right())
        }
    }),
    ("less of the body said than sent", |c| {
        let said = c.random.random_range(0..c.body.len());
        c.with_signature(c.right())
            .framed(Framing::LengthSaid(said))
    }),
    ("more of the body said than sent", |c| {
        let said = c.body.len() + c.random.random_range(1..100);
        c.with_signature(c.right())
            .framed(Framing::LengthSaid(said))
    }),
    ("chunks that hold another body", |c| {
        let other = c.another().body;
        let size = c.random.random_range(1..300);
        let framing = if c.random.random() {
            Framing::Chunks(size)
        } else {
            Framing::Both(size)
        };
        c.of(&[&c.stamp(), &other]).framed(framing)
    }),
];

impl Craft<'_> {
    fn stamp(&self) -> Vec<u8> {
        self.now.to_string().into_bytes()
    }

    fn right_bytes(&self) -> [u8; 64] {
        right_bytes(self.stamp(), &self.body)
    }

    /// The signature that Discord would give now.
    fn right(&self) -> String {
        right(self.stamp(), &self.body)
    }

    /// One that is not.
    fn wrong(&self) -> String {
        right(self.stamp(), b"another body")
    }

    fn with_signature(&self, signature: impl AsRef<[u8]>) -> Request {
        stamped(self.body.clone(), self.stamp(), signature)
    }

    /// In either case: the forgery is in the bytes.
    fn with_bytes(&mut self, signature: &[u8]) -> Request {
        let alphabet = if self.random.random() {
            HEXLOWER
        } else {
            HEXUPPER
        };
        self.with_signature(alphabet.encode(signature))
    }

    /// With Discord's signature of these parts.
    fn of(&self, parts: &[&[u8]]) -> Request {
        self.with_signature(HEXLOWER.encode(&FakeDiscord::signature_of(&parts.concat())))
    }

    fn signed_by(&mut self, seed: [u8; 32]) -> Request {
        let signed = [self.stamp(), self.body.clone()].concat();
        let signature = SigningKey::from_bytes(&seed).sign(&signed).to_bytes();
        self.with_bytes(&signature)
    }

    fn signed_at(&self, stamp: String) -> Request {
        let signature = right(&stamp, &self.body);
        stamped(self.body.clone(), stamp, signature)
    }

    /// A request that was seen.
    fn another(&mut self) -> Request {
        let seen = self.seen.choose(self.random);
        seen.expect("some were sent before").clone()
    }
}

fn public_bytes(key: &str) -> [u8; 32] {
    let bytes = HEXLOWER.decode(key.as_bytes()).expect("hexadecimal");
    bytes.try_into().expect("32 bytes")
}

fn small(random: &mut StdRng) -> [u8; 32] {
    public_bytes(SMALL.choose(random).expect("some"))
}

/// Adds the order to the scalar, the second half of a signature.
fn add_order(signature: &mut [u8; 64]) {
    let mut carry = 0;
    for (digit, more) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*digit) + u16::from(more) + carry;
        *digit = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

/// The order less the scalar.
fn negate(signature: &mut [u8; 64]) {
    let mut borrow = 0;
    for (digit, from) in signature[32..].iter_mut().zip(ORDER) {
        let less = 256 + i16::from(from) - i16::from(*digit) - borrow;
        *digit = less.to_le_bytes()[0];
        borrow = i16::from(less < 256);
    }
}
