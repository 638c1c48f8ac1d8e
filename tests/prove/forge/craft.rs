//! How requests of Slack are forged: what an attacker has who knows our addresses, other apps' secrets, and requests
//! that Slack once sent, but not our signing secret. What is signed rightly here lacks something else.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::pairs;
use crate::fakes::slack::{APP, BOT_USER, Delivery, Kind, SIGNING_SECRET, TEAM};

const STAMP: &str = "x-slack-request-timestamp";
const SIGNATURE: &str = "x-slack-signature";
pub(super) const KINDS: [Kind; 3] = [Kind::Command, Kind::Event, Kind::Interaction];
/// Who would have said it: somebody who may do everything.
pub(super) const SPEAKER: &str = "U0BO";

/// A request, before it becomes bytes.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) framing: Framing,
}

/// How the request says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length.
    Length,
    /// By a length that is not the body's.
    LengthSaid(usize),
    /// In chunks of so many bytes.
    Chunks(usize),
    /// In chunks, while a length is given too.
    Both(usize),
    /// In chunks, with the signature after the last of them.
    Trailer,
}

impl Request {
    fn new(kind: Kind, body: Vec<u8>) -> Self {
        Self::to(kind.path(), body)
    }

    pub(super) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// To this address.
    pub(super) fn to(path: &str, body: Vec<u8>) -> Self {
        Self {
            method: "POST",
            path: path.to_owned(),
            headers: Vec::new(),
            body,
            framing: Framing::Length,
        }
    }

    fn stamped(self, stamp: impl AsRef<[u8]>, signature: impl AsRef<[u8]>) -> Self {
        self.with(STAMP, stamp).with(SIGNATURE, signature)
    }

    pub(super) fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Every timestamp that it carries, in whatever case the header is written.
    pub(super) fn stamps(&self) -> impl Iterator<Item = &[u8]> {
        let stamps = self
            .headers
            .iter()
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case(STAMP));
        stamps.map(|(_, value)| value.as_slice())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let kind = if self.path.contains("events") || self.path.contains("discord") {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        let mut bytes = format!(
            "{} {} HTTP/1.1\r\nhost: midwatch\r\ncontent-type: {kind}\r\n",
            self.method, self.path
        )
        .into_bytes();
        for (name, value) in &self.headers {
            if self.framing == Framing::Trailer && is_signature(name) {
                continue;
            }
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let length = match self.framing {
            Framing::Length | Framing::Both(_) => Some(self.body.len()),
            Framing::LengthSaid(length) => Some(length),
            Framing::Chunks(_) | Framing::Trailer => None,
        };
        if let Some(length) = length {
            bytes.extend(format!("content-length: {length}\r\n").bytes());
        }
        let size = match self.framing {
            Framing::Length | Framing::LengthSaid(_) => {
                bytes.extend(b"\r\n");
                bytes.extend(&self.body);
                return bytes;
            }
            Framing::Chunks(size) | Framing::Both(size) => size,
            Framing::Trailer => {
                let signature = self.headers.iter().find(|(name, _)| is_signature(name));
                if let Some((name, _)) = signature {
                    bytes.extend(format!("trailer: {name}\r\n").bytes());
                }
                64
            }
        };
        bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
        for chunk in self.body.chunks(size.max(1)) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend([chunk, b"\r\n"].concat());
        }
        bytes.extend(b"0\r\n");
        if self.framing == Framing::Trailer {
            let signature = self.headers.iter().find(|(name, _)| is_signature(name));
            if let Some((name, value)) = signature {
                bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
        }
        bytes.extend(b"\r\n");
        bytes
    }
}

fn is_signature(header: &str) -> bool {
    [SIGNATURE, pairs::SIGNATURE].contains(&header)
}

/// What one forgery is made of.
pub(super) struct Craft<'a> {
    pub(super) random: &'a mut StdRng,
    /// Seconds, as Slack writes them.
    pub(super) now: i64,
    pub(super) kind: Kind,
    /// What the forger wants to be heard.
    pub(super) body: Vec<u8>,
    /// Requests that Slack sent lately, and that were seen on their way.
    pub(super) seen: &'a [Request],
}

/// The signature that Slack would give.
pub(super) fn right(stamp: impl AsRef<[u8]>, body: &[u8]) -> String {
    by(SIGNING_SECRET.as_bytes(), stamp, body)
}

/// The code that is the signature's core.
pub(super) fn code(secret: &[u8], base: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any key will do");
    for part in base {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn by(secret: &[u8], stamp: impl AsRef<[u8]>, body: &[u8]) -> String {
    let base: [&[u8]; 4] = [b"v0:", stamp.as_ref(), b":", body];
    format!("v0={}", HEXLOWER.encode(&code(secret, &base)))
}

/// A body of this kind that says the text, and that no other has the identity of.
pub(super) fn body(kind: Kind, says: &str, channel: &str, now: i64, unique: u32) -> Vec<u8> {
    let ts = format!("{now}.{:06}", unique % 1_000_000);
    let payload = match kind {
        Kind::Command => json!({
            "team_id": TEAM, "channel_id": channel, "user_id": SPEAKER, "command": "/ops", "text": says,
            "api_app_id": APP, "trigger_id": format!("{unique}.{says}"),
        }),
        Kind::Event => json!({
            "type": "event_callback", "team_id": TEAM, "api_app_id": APP, "event_id": format!("Ev{unique}"),
            "event_time": now,
            "event": { "type": "app_mention", "user": SPEAKER, "text": format!("<@{BOT_USER}> {says}"),
                       "ts": ts, "channel": channel, "team": TEAM },
            "authorizations": [{ "team_id": TEAM, "user_id": BOT_USER, "is_bot": true }],
        }),
        Kind::Interaction => json!({
            "type": "block_actions", "team": { "id": TEAM }, "user": { "id": SPEAKER, "team_id": TEAM },
            "api_app_id": APP, "trigger_id": format!("{unique}.{says}"), "channel": { "id": channel },
            "container": { "type": "message", "message_ts": ts, "channel_id": channel },
            "actions": [{ "type": "button", "action_id": "say-0", "value": says, "action_ts": ts }],
        }),
    };
    Delivery { kind, payload }.body().into_bytes()
}

/// As Slack sends it.
pub(super) fn genuine(kind: Kind, body: Vec<u8>, stamp: i64) -> Request {
    let stamp = stamp.to_string();
    let signature = right(&stamp, &body);
    Request::new(kind, body).stamped(stamp, signature)
}

type Forge = fn(&mut Craft<'_>) -> Request;

/// Every kind of forgery, by name.
pub(super) const FORGERIES: &[(&str, Forge)] = &[
    ("signed with another secret", |c| {
        let secret: [u8; 32] = c.random.random();
        let secret = HEXLOWER.encode(&secret[..16]);
        c.signed_by(secret.as_bytes())
    }),
    ("signed with nearly our secret", |c| {
        let secret = SIGNING_SECRET;
        let nearly = [
            secret.to_uppercase(),
            format!("{secret}\n"),
            format!(" {secret}"),
            secret[..secret.len() - 1].to_owned(),
            format!("{secret}{secret}"),
            secret.chars().rev().collect(),
            String::new(),
        ];
        let nearly = nearly.choose(c.random).expect("some").clone();
        c.signed_by(nearly.as_bytes())
    }),
    ("of another version", |c| {
        let versions = [
            "v1=", "V0=", "v0:", "", "v00=", "v0==", "v=", "=", "v0= v0=", "0=",
        ];
        let version = *versions.choose(c.random).expect("some");
        let code = c.right()[3..].to_owned();
        c.with_signature(version.to_owned() + &code)
    }),
    ("of another request's body", |c| {
        let (stamp, other) = (c.now.to_string(), c.another().body);
        c.with_signature(right(stamp, &other))
    }),
    ("of an empty body", |c| {
        let signature = right(c.now.to_string(), b"");
        c.with_signature(signature)
    }),
    ("a bit of the body flipped", |c| {
        let signature = c.right();
        let (at, bit) = (
            c.random.random_range(0..c.body.len()),
            c.random.random_range(0..8),
        );
        c.body[at] ^= 1 << bit;
        c.with_signature(signature)
    }),
    ("a byte more, less or moved in the body", |c| {
        let signature = c.right();
        let at = c.random.random_range(0..c.body.len());
        match c.random.random_range(0..4) {
            0 => c.body.insert(at, b' '),
            1 => drop(c.body.remove(at)),
            2 => c.body.push(*b"\n\0 &".choose(c.random).expect("some")),
            _ => c.body.insert(0, b' '),
        }
        c.with_signature(signature)
    }),
    ("the same meaning in other bytes", |c| {
        let signature = c.right();
        let text = String::from_utf8(std::mem::take(&mut c.body)).expect("text");
        c.body = match c.kind {
            Kind::Event => text.replacen(':', ": ", 1),
            Kind::Command | Kind::Interaction if text.contains('+') => text.replacen('+', "%20", 1),
            Kind::Command | Kind::Interaction => text + "&",
        }
        .into_bytes();
        c.with_signature(signature)
    }),
    ("more appended to what Slack signed", |c| {
        let seen = c.another();
        let more = [b"&".as_slice(), &c.body].concat();
        Request {
            body: [seen.body.as_slice(), &more].concat(),
            ..seen
        }
    }),
    ("put before what Slack signed", |c| {
        let seen = c.another();
        let more = [c.body.as_slice(), b"&"].concat();
        Request {
            body: [more.as_slice(), &seen.body].concat(),
            ..seen
        }
    }),
    ("the headers of a request that Slack sent", |c| {
        let seen = c.another();
        Request {
            headers: seen.headers,
            ..Request::new(c.kind, c.body.clone())
        }
    }),
    ("a digit of the signature changed", |c| {
        let mut signature = c.right().into_bytes();
        let at = c.random.random_range(3..signature.len());
        let digit = c.random.random_range(1..16);
        let value = char::from(signature[at]).to_digit(16).expect("a digit");
        signature[at] = b"0123456789abcdef"[((value + digit) % 16) as usize];
        c.with_signature(signature)
    }),
    ("a bit of the signature flipped", |c| {
        let mut signature = c.right().into_bytes();
        let at = c.random.random_range(0..signature.len());
        // Bits 0 to 4: the highest would make it no text, the others a line break at the worst.
        signature[at] ^= 1 << c.random.random_range(0..5);
        signature
            .iter_mut()
            .filter(|b| **b < b' ')
            .for_each(|b| *b = b'x');
        c.with_signature(signature)
    }),
    ("truncated", |c| {
        let signature = c.right();
        let length = c.random.random_range(0..signature.len());
        c.with_signature(&signature[..length])
    }),
    ("longer", |c| {
        let signature = c.right();
        let more = ["0", "00", "\t0", ",", ";", "=", "==", "\u{a0}"];
        let more = *more.choose(c.random).expect("some");
        c.with_signature(signature + more)
    }),
    ("in upper case", |c| {
        let signature = c.right();
        let upper = format!("v0={}", signature[3..].to_uppercase());
        // Digits alone have no case: then it would be the right one.
        let upper = if upper == signature {
            "V".to_owned() + &signature[1..]
        } else {
            upper
        };
        c.with_signature(upper)
    }),
    ("one letter in upper case", |c| {
        let signature = c.right();
        let letters: Vec<usize> = (3..signature.len())
            .filter(|at| signature.as_bytes()[*at].is_ascii_alphabetic())
            .collect();
        let mut bytes = signature.into_bytes();
        let at = letters.choose(c.random).copied().unwrap_or(0);
        bytes[at] = bytes[at].to_ascii_uppercase();
        c.with_signature(bytes)
    }),
    ("white space within", |c| {
        let signature = c.right();
        let at = c.random.random_range(1..signature.len());
        let blank = *[" ", "\t", "  "].choose(c.random).expect("some");
        c.with_signature(format!("{}{blank}{}", &signature[..at], &signature[at..]))
    }),
    ("in base64", |c| {
        let stamp = c.now.to_string();
        let base: [&[u8]; 4] = [b"v0:", stamp.as_bytes(), b":", &c.body];
        let code = BASE64.encode(&code(SIGNING_SECRET.as_bytes(), &base));
        let lead = *["v0=", ""].choose(c.random).expect("some");
        c.with_signature(lead.to_owned() + &code)
    }),
    ("of another base", |c| {
        let stamp = c.now.to_string();
        let (stamp, body) = (stamp.as_bytes(), c.body.as_slice());
        let bases: [&[&[u8]]; 6] = [
            &[body],
            &[b"v0:", stamp, b":"],
            &[stamp, b":", body],
            &[b"v1:", stamp, b":", body],
            &[b"v0:", body, b":", stamp],
            &[b"v0", stamp, body],
        ];
        let base = *bases.choose(c.random).expect("some");
        let signature = format!(
            "v0={}",
            HEXLOWER.encode(&code(SIGNING_SECRET.as_bytes(), base))
        );
        c.with_signature(signature)
    }),
    ("a digest instead of a code", |c| {
        let base = [b"v0:", c.now.to_string().as_bytes(), b":", &c.body].concat();
        let digest = Sha256::digest(base);
        c.with_signature(format!("v0={}", HEXLOWER.encode(&digest)))
    }),
    ("guessed", |c| {
        let guess: [u8; 32] = c.random.random();
        let guess = *[guess, [0; 32], [0xff; 32]].choose(c.random).expect("some");
        c.with_signature(format!("v0={}", HEXLOWER.encode(&guess)))
    }),
    ("twice, one of them right", |c| {
        let (good, bad) = (c.right(), c.wrong());
        let (first, second) = if c.random.random() {
            (good, bad)
        } else {
            (bad, good)
        };
        let name = *[SIGNATURE, "X-Slack-Signature", "X-SLACK-SIGNATURE"]
            .choose(c.random)
            .expect("some");
        c.with_signature(first).with(name, second)
    }),
    ("the right one twice", |c| {
        let signature = c.right();
        c.with_signature(&signature).with(SIGNATURE, &signature)
    }),
    ("the time twice, one of them signed", |c| {
        let (stamp, signature) = (c.now.to_string(), c.right());
        let other = (c.now + c.random.random_range(1..200)).to_string();
        let (first, second) = if c.random.random() {
            (stamp, other)
        } else {
            (other, stamp)
        };
        Request::new(c.kind, c.body.clone())
            .with(STAMP, first)
            .with(STAMP, second)
            .with(SIGNATURE, signature)
    }),
    ("two in one header", |c| {
        let (good, bad) = (c.right(), c.wrong());
        let glue = *[",", ", ", ";", " "].choose(c.random).expect("some");
        let both = if c.random.random() {
            [good, bad]
        } else {
            [bad, good]
        };
        c.with_signature(both.join(glue))
    }),
    ("without a signature", |c| {
        Request::new(c.kind, c.body.clone()).with(STAMP, c.now.to_string())
    }),
    ("without a time", |c| {
        let stamp = *["", "0", "v0"].choose(c.random).expect("some");
        Request::new(c.kind, c.body.clone()).with(SIGNATURE, right(stamp, &c.body))
    }),
    ("without any header", |c| {
        Request::new(c.kind, c.body.clone())
    }),
    ("with empty headers", |c| {
        let signature = right("", &c.body);
        let signature = if c.random.random() {
            signature
        } else {
            String::new()
        };
        Request::new(c.kind, c.body.clone()).stamped("", signature)
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
        let signature = c.right();
        let stamp = format!("{}{}", "0".repeat(c.random.random_range(1..4)), c.now);
        Request::new(c.kind, c.body.clone()).stamped(stamp, signature)
    }),
    ("the time moved", |c| {
        let signature = c.right();
        let moved = c.random.random_range(1..300) * [1, -1].choose(c.random).expect("some");
        Request::new(c.kind, c.body.clone()).stamped((c.now + moved).to_string(), signature)
    }),
    ("signed lately, the time made fresh", |c| {
        let old = c.now - c.random.random_range(301..1_000_000);
        let signature = right(old.to_string(), &c.body);
        c.with_signature(signature)
    }),
    ("the signature elsewhere", |c| {
        let (stamp, signature) = (c.now.to_string(), c.right());
        let mut request = Request::new(c.kind, c.body.clone());
        match c.random.random_range(0..4) {
            0 => {
                request.path = format!("{}?{STAMP}={stamp}&{SIGNATURE}={signature}", request.path);
                request
            }
            1 => request.with(
                "cookie",
                format!("{STAMP}={stamp}; {SIGNATURE}={signature}"),
            ),
            2 => request.with("authorization", signature).with(STAMP, stamp),
            _ => request
                .with("x_slack_request_timestamp", stamp)
                .with("x_slack_signature", signature),
        }
    }),
    ("the signature after the body", |c| {
        let signature = c.right();
        c.with_signature(signature).framed(Framing::Trailer)
    }),
    ("a header's name with a blank", |c| {
        let (stamp, signature) = (c.now.to_string(), c.right());
        Request::new(c.kind, c.body.clone())
            .with(STAMP, stamp)
            .with(&format!("{SIGNATURE} "), signature)
    }),
    ("a header over two lines", |c| {
        let signature = c.right();
        let at = c.random.random_range(3..signature.len());
        c.with_signature(format!("{}\r\n {}", &signature[..at], &signature[at..]))
    }),
    ("signed rightly, by another method", |c| {
        let signature = c.right();
        // Not GET and HEAD: at one of the addresses they are Slack's look at our certificate, and nothing is heard.
        let method = ["PUT", "DELETE", "PATCH", "OPTIONS", "post"]
            .choose(c.random)
            .expect("some");
        Request {
            method,
            ..c.with_signature(signature)
        }
    }),
    ("signed rightly, to a path that is none", |c| {
        let signature = c.right();
        let path = c.kind.path();
        let paths = [
            format!("{path}/"),
            format!("/{path}"),
            path.to_uppercase(),
            format!("{path}%20"),
            format!("{path}/../commands"),
        ];
        let path = paths.choose(c.random).expect("some").clone();
        Request {
            path,
            ..c.with_signature(signature)
        }
    }),
    ("less of the body said than sent", |c| {
        let signature = c.right();
        let said = c.random.random_range(0..c.body.len());
        c.with_signature(signature)
            .framed(Framing::LengthSaid(said))
    }),
    ("more of the body said than sent", |c| {
        let signature = c.right();
        let said = c.body.len() + c.random.random_range(1..100);
        c.with_signature(signature)
            .framed(Framing::LengthSaid(said))
    }),
    ("chunks that hold another body", |c| {
        let signature = c.another_signature();
        let size = c.random.random_range(1..300);
        let framing = if c.random.random() {
            Framing::Chunks(size)
        } else {
            Framing::Both(size)
        };
        c.with_signature(signature).framed(framing)
    }),
];

impl Craft<'_> {
    /// The signature that would be right now.
    fn right(&self) -> String {
        right(self.now.to_string(), &self.body)
    }

    /// One that is not.
    fn wrong(&self) -> String {
        right(self.now.to_string(), b"another body")
    }

    fn with_signature(&self, signature: impl AsRef<[u8]>) -> Request {
        Request::new(self.kind, self.body.clone()).stamped(self.now.to_string(), signature)
    }

    fn signed_by(&self, secret: &[u8]) -> Request {
        self.with_signature(by(secret, self.now.to_string(), &self.body))
    }

    fn signed_at(&self, stamp: String) -> Request {
        let signature = right(&stamp, &self.body);
        Request::new(self.kind, self.body.clone()).stamped(stamp, signature)
    }

    /// A request that was seen, of any kind.
    fn another(&mut self) -> Request {
        let seen = self.seen.choose(self.random);
        seen.expect("some were sent before").clone()
    }

    fn another_signature(&mut self) -> String {
        let other = self.another().body;
        right(self.now.to_string(), &other)
    }
}
