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
    /// It has yet to take what we answer.
    Taking = 2,
    /// It is answered: it waits for us.
    Answered = 3,
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

/// Whose body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A client's: at its end, or when nobody wants the rest, the client waits for us.
    Request,
    /// Ours: at its end the client is free to ask for more, or to stand around.
    Response,
}

/// A body that says what its connection does.
pub(super) struct Watched<B> {
    body: B,
    standing: Arc<Standing>,
    side: Side,
    ended: bool,
}

impl<B: HttpBody> Watched<B> {
    pub(super) fn new(body: B, standing: Arc<Standing>, side: Side) -> Self {
        let mut watched = Self {
            body,
            standing,
            side,
            ended: false,
        };
        if watched.body.is_end_stream() {
            watched.end();
        }
        watched
    }
}

impl<B> Watched<B> {
    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.standing.set(match self.side {
            Side::Request => Doing::Answered,
            Side::Response => Doing::Waiting,
        });
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
        } else if self.side == Side::Response {
            // We are not asked for more before the client has taken this.
            self.standing.set(match polled {
                Poll::Ready(_) => Doing::Taking,
                Poll::Pending => Doing::Answered,
            });
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use futures_util::stream;
    use tokio::task::JoinSet;

    use super::*;

    /// A connection that stands so, and its name in the order of what is sent away.
    fn join(crowd: &mut Crowd, tasks: &mut JoinSet<()>, doing: Doing) -> (Id, Arc<Standing>) {
        let standing = crowd.standing();
        standing.set(doing);
        let task = tasks.spawn(std::future::pending());
        let id = task.id();
        crowd.add(task, Arc::clone(&standing));
        (id, standing)
    }

    #[tokio::test]
    async fn who_waits_for_nothing_goes_first_and_who_waits_for_us_stays() {
        let (mut crowd, mut tasks) = (Crowd::default(), JoinSet::new());
        let mut join = |doing| join(&mut crowd, &mut tasks, doing).0;
        let answered = join(Doing::Answered);
        let taking = join(Doing::Taking);
        let sending = join(Doing::Sending);
        let (older, newer) = (join(Doing::Waiting), join(Doing::Waiting));
        let mut gone = Vec::new();
        while crowd.shrink() {
            let left = tasks.join_next_with_id().await.unwrap();
            gone.push(left.unwrap_err().id());
        }
        assert_eq!(gone, [older, newer, sending, taking]);
        assert!(crowd.len() == 1 && crowd.all.contains_key(&answered) && !crowd.can_shrink());
    }

    #[tokio::test]
    async fn a_body_says_who_waits_for_whom() {
        let crowd = Crowd::default();
        let doing = |standing: &Standing| standing.at.load(Ordering::Relaxed) & 3;
        let standing = crowd.standing();
        standing.set(Doing::Sending);
        let empty = Watched::new(Body::empty(), Arc::clone(&standing), Side::Request);
        assert_eq!(
            doing(&standing),
            Doing::Answered as u64,
            "nothing is to be sent"
        );
        drop(empty);
        let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
        let pieces = stream::unfold(receiver, |mut receiver| async move {
            let piece = receiver.recv().await?;
            Some((Ok::<_, Infallible>(piece), receiver))
        });
        let mut body = Watched::new(
            Body::from_stream(pieces),
            Arc::clone(&standing),
            Side::Response,
        );
        let mut next = async || std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, next()).await.is_err());
        assert_eq!(doing(&standing), Doing::Answered as u64, "it waits for us");
        sender.send(Bytes::from_static(b"x")).await.unwrap();
        assert!(next().await.is_some());
        assert_eq!(doing(&standing), Doing::Taking as u64, "we wait for it");
        drop(sender);
        assert!(next().await.is_none());
        assert_eq!(doing(&standing), Doing::Waiting as u64);
    }
}
