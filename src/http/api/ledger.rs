//! The ledger to take away: its lines and the checkpoint over exactly these, in pieces, so that none of it stays in memory.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde_json::json;

use super::Api;
use super::asked::Asked;
use super::problem::Problem;
use super::reply::Reply;
use crate::domain::Checkpoint;
use crate::store::{Store, StoreError};

/// Lines that are read at once.
const PAGE: u32 = 500;

/// Of all projects: a token that is for some of them may not.
fn refuse_parts(asked: &Asked) -> Result<(), Problem> {
    let terms = &asked.terms;
    if terms.projects.is_empty() {
        return Ok(());
    }
    let detail = format!("token {} is for some projects alone", terms.id);
    Err(Problem::new("whole_ledger", detail))
}

/// The signed checkpoint of the ledger as it is now.
pub(super) async fn checkpoint(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    refuse_parts(&asked)?;
    let note = api.store.checkpoint(asked.now).await?;
    let size = size_of(&note)?;
    let key = api.store.public_key()?;
    Ok(Reply::ok(
        json!({ "checkpoint": note, "size": size, "key": key }),
    ))
}

fn size_of(note: &str) -> Result<u64, Problem> {
    let checkpoint = Checkpoint::parse(note);
    let unreadable = |_| Problem::new("fault", "our own checkpoint can't be read");
    Ok(checkpoint.map_err(unreadable)?.size)
}

/// Every entry, a line each, and the checkpoint as the last line: what `midwatch ledger export` writes.
pub(super) async fn export(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    refuse_parts(&asked)?;
    let note = api.store.checkpoint(asked.now).await?;
    let lines = Lines {
        store: api.store.clone(),
        next: 0,
        size: size_of(&note)?,
        note: Some(note),
    };
    let body = stream::unfold(lines, |mut lines| async move {
        let piece = lines.piece().await.transpose()?;
        Some((piece, lines))
    });
    let mut response = Response::new(Body::from_stream(body));
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(Reply::Other(response))
}

struct Lines {
    store: Store,
    next: u64,
    size: u64,
    note: Option<String>,
}

impl Lines {
    /// Some lines; `None` after the last.
    async fn piece(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.next >= self.size {
            let note = self.note.take();
            return Ok(note.map(|note| format!("{}\n", json!({ "checkpoint": note })).into()));
        }
        let wanted = u32::try_from(self.size - self.next)
            .unwrap_or(PAGE)
            .min(PAGE);
        let lines = self.store.ledger_lines(self.next, wanted).await?;
        if lines.is_empty() {
            // The body breaks off, and whoever reads it sees that: no export looks whole that is not.
            return Err(StoreError::Corrupt(format!(
                "ledger entry {} is not there",
                self.next
            )));
        }
        self.next += lines.len() as u64;
        let mut text = String::new();
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        Ok(Some(text.into()))
    }
}
