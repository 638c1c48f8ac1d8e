//! The server: every connection is bounded in time, size and number, and is finished before we stop. When there is no room
//! for another, one that waits for nothing of ours makes room.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request as Asked;
use axum::http::{Request, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::api;
use super::crowd::{Crowd, Doing, Side, Standing, Watched};

/// How long a request's head may take; also ends idle connections.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a request may take, from its head to the head of its answer.
const REQUEST_TIME: Duration = Duration::from_secs(15);
/// The largest body in bytes; platforms send some kilobytes.
const LARGEST_BODY: usize = 1 << 20;
/// How many connections there may be. Well below the 1,024 open files that a process usually may have: all else needs some.
const MOST_CONNECTIONS: usize = 768;
/// How soon we look again for one that can make room, while all of them are being answered.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(50);

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

async fn count(request: Asked, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let response = next.run(request).await;
    // The layers between answer in plain words, and programs read problems.
    let response = if is_api {
        api::as_problem(response)
    } else {
        response
    };
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
    let mut crowd = Crowd::default();
    loop {
        let has_room = crowd.len() < MOST_CONNECTIONS || crowd.can_shrink();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(ended) = connections.join_next_with_id() => match ended {
                Ok((id, ())) => crowd.remove(id),
                Err(why) => crowd.remove(why.id()),
            },
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    while crowd.len() >= MOST_CONNECTIONS && crowd.shrink() {}
                    let standing = crowd.standing();
                    let talk = converse(stream, router.clone(), Arc::clone(&standing), stop.clone());
                    crowd.add(connections.spawn(talk), standing);
                }
                Err(why) => {
                    crowd.shrink();
                    pause_or_end(why).await?;
                }
            },
            () = tokio::time::sleep(LOOK_FOR_ROOM), if !has_room => {}
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

async fn converse(
    stream: TcpStream,
    router: Router,
    standing: Arc<Standing>,
    stop: CancellationToken,
) {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        standing.set(Doing::Sending);
        let received = Arc::clone(&standing);
        let request = request.map(|body| Watched::new(body, received, Side::Request));
        let (answer, sent) = (routes.call(request), Arc::clone(&standing));
        async move {
            let response = answer.await?;
            Ok::<_, Infallible>(response.map(|body| Watched::new(body, sent, Side::Response)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
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
