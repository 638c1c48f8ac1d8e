//! The `http` part of a step: method, address, headers, expectations.

use std::collections::BTreeMap;

use super::at::At;
use super::diagnostic::Diagnostic;
use super::pattern::bad_pattern;
use super::raw;
use crate::domain::{Expect, Pattern, Segment, Template};

/// What is asked of whom.
pub(crate) struct Web<'r, 'a> {
    /// In capitals.
    pub(crate) method: String,
    /// As written.
    pub(crate) url: &'r str,
    /// Where the address stands.
    pub(crate) at_url: At<'a>,
}

/// The one method with its address.
pub(crate) fn method_and_url<'r, 'a>(
    raw: &'r raw::Http,
    at: At<'a>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Web<'r, 'a>> {
    let short = [
        ("get", &raw.get),
        ("head", &raw.head),
        ("post", &raw.post),
        ("put", &raw.put),
        ("patch", &raw.patch),
        ("delete", &raw.delete),
    ];
    let mut given = short
        .into_iter()
        .filter_map(|(key, url)| url.as_ref().map(|url| (key, key.to_uppercase(), url)))
        .collect::<Vec<_>>();
    match (&raw.method, &raw.url) {
        (Some(method), Some(url)) => given.push(("url", method.clone(), url)),
        (Some(_), None) => {
            let hint = "add `url:`, or write `get: ADDRESS`";
            notes.push(at.key("method").error("`method` needs `url`").hint(hint));
            return None;
        }
        (None, Some(_)) => {
            let hint = "add `method:`, or write `get: ADDRESS`";
            notes.push(at.key("url").error("`url` needs `method`").hint(hint));
            return None;
        }
        (None, None) => {}
    }
    match given.as_slice() {
        [(key, method, url)] => {
            check_method(method, at.get("method"), notes);
            Some(Web {
                method: method.clone(),
                url: &url.0,
                at_url: at.get(key),
            })
        }
        [] => {
            let message = "the address is missing";
            let hint =
                "write `get: ADDRESS` (or head, post, put, patch, delete), or `method` with `url`";
            notes.push(at.head().error(message).hint(hint));
            None
        }
        [_, (second, ..), ..] => {
            let message = "one step sends one request";
            notes.push(
                at.key(second)
                    .error(message)
                    .hint("make a second step of it"),
            );
            None
        }
    }
}

fn check_method(method: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) {
    let fits = (1..=20).contains(&method.len())
        && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    if !fits {
        let message = format!("`{method}` is not a method");
        notes.push(
            at.error(message)
                .hint("write it in capitals, such as BAN or PURGE"),
        );
    }
}

/// Checks what can be known of the address; answers the host it names itself.
///
/// A host that the command's author wrote out needs no second mention under `hosts`.
pub(crate) fn check_url(
    url: &Template,
    at: At<'_>,
    names: &super::template::Names,
    notes: &mut Vec<Diagnostic>,
) -> Option<String> {
    let begins = match url.0.first() {
        Some(Segment::Attribute(_)) | None => return None,
        Some(Segment::Literal(text)) => text,
        Some(_) => {
            let message = "an address can't begin with this: nobody could say where it leads";
            let hint = if names.environment.is_some() {
                "begin with `{environment.url}`, `https://` or `http://`"
            } else {
                "begin with `https://` or `http://`"
            };
            notes.push(at.error(message).hint(hint));
            return None;
        }
    };
    let behind = begins
        .strip_prefix("https://")
        .or_else(|| begins.strip_prefix("http://"));
    let Some(behind) = behind else {
        let message =
            "an address begins with `https://`, `http://` or an attribute of the environment";
        notes.push(at.error(message).hint("such as \"{environment.url}/path\""));
        return None;
    };
    let end = behind.find(['/', '?', '#']);
    let complete = end.is_some() || url.0.len() == 1;
    let host = &behind[..end.unwrap_or(behind.len())];
    if complete && !is_host(host) {
        let message = "this address names no host";
        notes.push(at.error(message).hint("such as https://example.com/path"));
        return None;
    }
    if !complete && !matches!(url.0.get(1), Some(Segment::Attribute(_))) {
        let message = "the host can't come from an argument";
        notes.push(
            at.error(message)
                .hint("write it out, or use an attribute of the environment"),
        );
    }
    complete.then(|| host.to_ascii_lowercase())
}

/// The hosts that may be reached.
pub(crate) fn hosts(raw: &raw::Http, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Vec<String> {
    for (host, at) in raw.hosts.iter().zip(at.get("hosts").items()) {
        if !is_host(host) {
            let message = format!("`{host}` is not a host");
            notes.push(
                at.error(message)
                    .hint("write `example.com` or `example.com:8443`, no address"),
            );
        }
    }
    raw.hosts
        .iter()
        .map(|host| host.to_ascii_lowercase())
        .collect()
}

fn is_host(text: &str) -> bool {
    let address = format!("http://{text}/");
    let parsed = url::Url::parse(&address).ok();
    let plain = !text.contains(['@', '/', '?', '#', ' ', '\\']);
    plain && parsed.is_some_and(|url| url.has_host())
}

/// Header names in lower case, with their key in the file and text.
pub(crate) fn check_headers<'r>(
    headers: &'r BTreeMap<String, raw::Text>,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Vec<(String, &'r str, &'r raw::Text)> {
    let mut read: Vec<(String, &str, &raw::Text)> = Vec::new();
    for (key, text) in headers {
        let name = header_name(key, at.key(key), notes);
        if read.iter().any(|(other, ..)| *other == name) {
            let message = format!("header `{key}` stands here twice");
            notes.push(
                at.key(key)
                    .error(message)
                    .hint("the case of letters makes no difference; keep one"),
            );
        }
        read.push((name, key, text));
    }
    read
}

fn header_name(name: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) -> String {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        let message = format!("`{name}` can't be the name of a header");
        notes.push(at.error(message).hint("such as `x-cache`"));
    }
    name.to_ascii_lowercase()
}

/// The headers that the thread shows.
pub(crate) fn show(names: &[String], at: At<'_>, notes: &mut Vec<Diagnostic>) -> Vec<String> {
    names
        .iter()
        .zip(at.items())
        .map(|(name, at)| header_name(name, at, notes))
        .collect()
}

/// What the answer must be.
pub(crate) fn expect(raw: Option<&raw::Expect>, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Expect {
    let mut read = Expect {
        status: Vec::new(),
        headers: BTreeMap::new(),
        body: None,
    };
    let Some(raw) = raw else { return read };
    if let Some(status) = &raw.status {
        read.status = status.0.iter().map(|status| status.0).collect();
    }
    let at_headers = at.get("headers");
    for (name, key, text) in check_headers(&raw.headers, at_headers, notes) {
        let pattern = pattern(&text.0, at_headers.get(key), notes);
        read.headers.extend(pattern.map(|pattern| (name, pattern)));
    }
    read.body = raw
        .body
        .as_ref()
        .and_then(|body| pattern(body, at.get("body"), notes));
    read
}

fn pattern(text: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<Pattern> {
    Pattern::parse(text)
        .map_err(|error| notes.push(bad_pattern(at, &error)))
        .ok()
}
