//! JSON that need not be JSON: a payload as a tree whose keys may come twice and whose values may be any bytes.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;

/// A payload, or a part of one.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    /// Written as it stands.
    Raw(Vec<u8>),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl From<&Value> for Tree {
    fn from(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(map) => {
                let members = map.iter().map(|(key, value)| (key.clone(), value.into()));
                Self::Map(members.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Raw(value.to_string().into()),
        }
    }
}

impl Tree {
    pub(super) fn raw(text: &str) -> Self {
        Self::Raw(text.into())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(bytes) => out.extend(bytes),
            Self::Text(text) => out.extend(quoted(text)),
            Self::List(items) => {
                out.push(b'[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Map(members) => {
                out.push(b'{');
                for (position, (key, value)) in members.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    out.extend(quoted(key));
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// As a form has it: one field for each member.
    pub(super) fn form(&self) -> Vec<u8> {
        let Self::Map(members) = self else {
            return encoded(&self.bytes());
        };
        let fields = members.iter().map(|(key, value)| {
            let value = match value {
                Self::Text(text) => text.clone().into_bytes(),
                other => other.bytes(),
            };
            [&encoded(key.as_bytes()), b"=".as_slice(), &encoded(&value)].concat()
        });
        fields.collect::<Vec<_>>().join(&b'&')
    }

    /// Any part of it, itself included.
    pub(super) fn any(&mut self, random: &mut StdRng) -> &mut Self {
        let at = random.random_range(0..self.count());
        self.nth(at).expect("there are so many")
    }

    /// Any part under one of these keys; any part at all where there is none.
    pub(super) fn any_of(&mut self, keys: &[&str], random: &mut StdRng) -> &mut Self {
        let mut places = Vec::new();
        self.find(keys, 0, &mut places);
        match places.choose(random) {
            Some(place) => self.nth(*place).expect("it was found there"),
            None => self.any(random),
        }
    }

    /// Numbers of the parts under these keys; `at` is this one's own.
    fn find(&self, keys: &[&str], at: usize, places: &mut Vec<usize>) {
        let mut next = at + 1;
        let parts: Vec<(&str, &Self)> = match self {
            Self::Raw(_) | Self::Text(_) => Vec::new(),
            Self::List(items) => items.iter().map(|item| ("", item)).collect(),
            Self::Map(members) => members
                .iter()
                .map(|(key, value)| (key.as_str(), value))
                .collect(),
        };
        for (key, part) in parts {
            if keys.contains(&key) {
                places.push(next);
            }
            part.find(keys, next, places);
            next += part.count();
        }
    }

    /// The members of any object in it; `None` when there is no object, or an empty one is met.
    pub(super) fn any_members(&mut self, random: &mut StdRng) -> Option<&mut Vec<(String, Self)>> {
        for _ in 0..20 {
            let at = random.random_range(0..self.count());
            if matches!(self.nth(at), Some(Self::Map(members)) if !members.is_empty()) {
                return match self.nth(at) {
                    Some(Self::Map(members)) => Some(members),
                    _ => None,
                };
            }
        }
        None
    }

    fn count(&self) -> usize {
        1 + match self {
            Self::Raw(_) | Self::Text(_) => 0,
            Self::List(items) => items.iter().map(Self::count).sum(),
            Self::Map(members) => members.iter().map(|(_, value)| value.count()).sum(),
        }
    }

    /// The part with this number, the whole being the first.
    fn nth(&mut self, at: usize) -> Option<&mut Self> {
        let Some(mut left) = at.checked_sub(1) else {
            return Some(self);
        };
        let parts: Vec<&mut Self> = match self {
            Self::Raw(_) | Self::Text(_) => Vec::new(),
            Self::List(items) => items.iter_mut().collect(),
            Self::Map(members) => members.iter_mut().map(|(_, value)| value).collect(),
        };
        for part in parts {
            let count = part.count();
            if left < count {
                return part.nth(left);
            }
            left -= count;
        }
        None
    }
}

fn quoted(text: &str) -> Vec<u8> {
    Value::from(text).to_string().into_bytes()
}

/// Percent-encoded for a form.
pub(super) fn encoded(bytes: &[u8]) -> Vec<u8> {
    let pieces = url::form_urlencoded::byte_serialize(bytes);
    pieces.flat_map(str::bytes).collect()
}
