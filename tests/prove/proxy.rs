//! A wire between midwatch and its database that can be cut, stalled and led elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// They pass.
    Open,
    /// Connections end at once, new ones too.
    Cut,
    /// Connections stand, and nothing passes: neither bytes nor their end.
    Stalled,
}

/// A wire to one address; ends when it is dropped.
pub(crate) struct Proxy {
    /// Where to connect.
    pub(crate) address: SocketAddr,
    state: watch::Sender<(Wire, SocketAddr)>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = watch::Sender::new((Wire::Open, target));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, state.clone()));
        Self {
            address,
            state,
            _tasks: tasks,
        }
    }

    /// Changes what becomes of bytes, of every connection.
    pub(crate) fn set(&self, wire: Wire) {
        self.state.send_modify(|(now, _)| *now = wire);
    }

    /// Leads new connections elsewhere, and ends those that are.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| *state = (Wire::Cut, target));
        self.set(Wire::Open);
    }
}

async fn serve(listener: TcpListener, state: watch::Sender<(Wire, SocketAddr)>) {
    let state = Arc::new(state);
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let mut changes = state.subscribe();
            let (wire, target) = *changes.borrow_and_update();
            if wire == Wire::Cut {
                return;
            }
            let Ok(server) = TcpStream::connect(target).await else {
                return;
            };
            let mut cut = state.subscribe();
            let ended = async {
                // Led elsewhere is cut, too, even when the cut itself was too short to be seen.
                let _ = cut
                    .wait_for(|(wire, to)| *wire == Wire::Cut || *to != target)
                    .await;
            };
            tokio::select! {
                () = pass(client, server, &state) => {}
                () = ended => {}
            }
        });
    }
}

async fn pass(client: TcpStream, server: TcpStream, state: &watch::Sender<(Wire, SocketAddr)>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = one_way(&mut from_client, &mut to_server, state);
    let down = one_way(&mut from_server, &mut to_client, state);
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

async fn one_way(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    state: &watch::Sender<(Wire, SocketAddr)>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut changes = state.subscribe();
    loop {
        if from.readable().await.is_err() {
            return;
        }
        if changes
            .wait_for(|(wire, _)| *wire != Wire::Stalled)
            .await
            .is_err()
        {
            return;
        }
        match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(_) => return,
        }
    }
}
