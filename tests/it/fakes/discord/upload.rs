//! Multipart bodies: `payload_json` and files.

use serde_json::Value;

/// A file that came with a call.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) content: Vec<u8>,
}

/// The payload and the files of a multipart body; `None` when it is none.
pub(super) fn parsed(content_type: &str, raw: &[u8]) -> Option<(Value, Vec<Upload>)> {
    let boundary = content_type.split("boundary=").nth(1)?.trim_matches('"');
    let mark = format!("--{boundary}");
    let (mut payload, mut files) = (Value::Null, Vec::new());
    for part in pieces(raw, mark.as_bytes()).skip(1) {
        if part.starts_with(b"--") {
            return Some((payload, files));
        }
        let part = part.strip_prefix(b"\r\n")?.strip_suffix(b"\r\n")?;
        let mut halves = pieces(part, b"\r\n\r\n");
        let head = halves.next()?;
        let content = part.get(head.len() + 4..)?;
        let head = String::from_utf8_lossy(head);
        match quoted(&head, "; name=")? {
            "payload_json" => payload = serde_json::from_slice(content).ok()?,
            name if name.starts_with("file") => {
                let kind = head.lines().find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-type:")
                        .map(|it| it.trim().to_owned())
                });
                files.push(Upload {
                    name: quoted(&head, "filename=")?.to_owned(),
                    kind: kind.unwrap_or_else(|| "application/octet-stream".to_owned()),
                    content: content.to_vec(),
                });
            }
            _ => return None,
        }
    }
    None
}

/// What stands between the marks.
fn pieces<'a>(bytes: &'a [u8], mark: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let whole = rest?;
        let at = whole.windows(mark.len()).position(|window| window == mark);
        rest = at.map(|at| &whole[at + mark.len()..]);
        Some(at.map_or(whole, |at| &whole[..at]))
    })
}

fn quoted<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let after = head.split(name).nth(1)?;
    after.strip_prefix('"')?.split('"').next()
}
