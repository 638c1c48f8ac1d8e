//! A host that nobody is to talk to: it counts who does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Ends when it is dropped.
pub(crate) struct Elsewhere {
    url: String,
    reached: Arc<AtomicUsize>,
    _listens: JoinSet<()>,
}

impl Elsewhere {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let reached = Arc::<AtomicUsize>::default();
        let counts = reached.clone();
        let mut listens = JoinSet::new();
        listens.spawn(async move {
            while listener.accept().await.is_ok() {
                counts.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            url,
            reached,
            _listens: listens,
        }
    }

    /// Its address, without a path.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How often somebody came.
    pub(crate) fn reached(&self) -> usize {
        self.reached.load(Ordering::Relaxed)
    }
}
