//! Who is connected, and who has to go when there is no room: connections that wait for nothing of ours go first, the one
//! that has stood around longest before the others. Whoever is being answered stays.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::task::{AbortHandle, Id};

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doing {
    /// It has said nothing, or not all of a request's head: it may be idle.
    Waiting = 0,
    /// It sends a request's body.
    Sending = 1,
    /// It is answered.
    Answered = 2,
}

/// Where one connection stands: what it does, and since which turn.
pub(super) struct Standing {
    /// The turn, and in its last two bits what it does.
    at: AtomicU64,
    turns: Arc<AtomicU64>,
}

impl Standing {
    /// It does something else from now on.
    pub(super) fn set(&self, doing: Doing) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        self.at.store(turn << 2 | doing as u64, Ordering::Relaxed);
    }

    /// Smaller ones go first; `None`: it stays.
    fn rank(&self) -> Option<(u64, u64)> {
        let at = self.at.load(Ordering::Relaxed);
        let doing = at & 3;
        (doing != Doing::Answered as u64).then_some((doing, at >> 2))
    }
}

/// All connections.
#[derive(Default)]
pub(super) struct Crowd {
    all: HashMap<Id, (AbortHandle, Arc<Standing>)>,
    turns: Arc<AtomicU64>,
}

impl Crowd {
    /// Where a connection begins to stand.
    pub(super) fn standing(&self) -> Arc<Standing> {
        let standing = Arc::new(Standing {
            at: AtomicU64::new(0),
            turns: Arc::clone(&self.turns),
        });
        standing.set(Doing::Waiting);
        standing
    }

    /// One more.
    pub(super) fn add(&mut self, task: AbortHandle, standing: Arc<Standing>) {
        self.all.insert(task.id(), (task, standing));
    }

    /// One less.
    pub(super) fn remove(&mut self, task: Id) {
        self.all.remove(&task);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether somebody could go.
    pub(super) fn can_shrink(&self) -> bool {
        self.all.values().any(|(_, it)| it.rank().is_some())
    }

    /// Sends away who has to go first. `false`: all of them are being answered.
    pub(super) fn shrink(&mut self) -> bool {
        let ranked = self
            .all
            .iter()
            .filter_map(|(id, (_, it))| Some((it.rank()?, *id)));
        let Some((_, first)) = ranked.min_by_key(|(rank, _)| *rank) else {
            return false;
        };
        if let Some((task, _)) = self.all.remove(&first) {
            task.abort();
        }
        metrics::counter!("midwatch_http_sent_away_total").increment(1);
        true
    }
}

/// A body at whose end, or when nobody wants the rest, its connection does something else.
pub(super) struct Watched<B> {
    body: B,
    standing: Arc<Standing>,
    then: Option<Doing>,
}

impl<B: HttpBody> Watched<B> {
    pub(super) fn new(body: B, standing: Arc<Standing>, then: Doing) -> Self {
        let mut watched = Self {
            body,
            standing,
            then: Some(then),
        };
        if watched.body.is_end_stream() {
            watched.end();
        }
        watched
    }
}

impl<B> Watched<B> {
    fn end(&mut self) {
        if let Some(then) = self.then.take() {
            self.standing.set(then);
        }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.end();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.end();
    }
}
