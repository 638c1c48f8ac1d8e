//! The server: every connection is bounded in time, size and number, and is finished before we stop.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

/// How long a request's head may take; also ends idle connections.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a request may take, from its head to the head of its answer.
const REQUEST_TIME: Duration = Duration::from_secs(15);
/// The largest body in bytes; platforms send some kilobytes.
const LARGEST_BODY: usize = 1 << 20;
/// How many connections there may be; more wait in the system's queue.
const MOST_CONNECTIONS: usize = 1_024;

/// Serves until cancelled, then finishes the requests that have begun, for `drain` at most.
///
/// # Errors
/// The listener is broken for good. Connections that began are given `drain` all the same.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    cancel: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    let router = router
        .layer(RequestBodyLimitLayer::new(LARGEST_BODY))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_TIME,
        ))
        .layer(middleware::from_fn(count));
    let stop = cancel.child_token();
    let mut connections = JoinSet::new();
    let ended = accept_all(&listener, &router, &mut connections, &stop).await;
    drop(listener);
    stop.cancel();
    finish(connections, drain).await;
    ended
}

async fn count(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status().as_str().to_owned();
    metrics::counter!("midwatch_http_requests_total", "status" => status).increment(1);
    response
}

async fn accept_all(
    listener: &TcpListener,
    router: &Router,
    connections: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> io::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, router.clone(), stop.clone()));
                }
                Err(why) => pause_or_end(why).await?,
            },
        }
    }
}

/// A connection that broke before it was accepted, or a shortage of file handles, passes; all else does not.
async fn pause_or_end(why: io::Error) -> io::Result<()> {
    // The numbers of EMFILE and ENFILE: std has no kind for them.
    let shortage = matches!(why.raw_os_error(), Some(23 | 24));
    match why.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => Ok(()),
        _ if shortage => {
            tracing::warn!(
                "no file handle is left for a connection: {why}; raise the limit of open files"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        }
        _ => Err(why),
    }
}

async fn converse(stream: TcpStream, router: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!("a connection ended early: {why}");
    }
}

async fn finish(mut connections: JoinSet<()>, drain: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, all).await.is_err() {
        tracing::warn!(
            "{} connections did not end within {drain:?} and were cut",
            connections.len()
        );
        connections.shutdown().await;
    }
}
