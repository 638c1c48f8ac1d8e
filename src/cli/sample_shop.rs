//! The sample's web shop: pages behind a small cache, and an admin door for the sample's commands. Its state is memory.

mod admin;
mod cache;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::admin::Operations;
use self::cache::{Cache, Page};
use crate::clock::Clock;

/// The page that [`SampleShop::warm`] fetches.
const FRONT_PAGE: &str = "/";

/// The running shop. Cheap to clone.
#[derive(Clone)]
pub struct SampleShop {
    address: SocketAddr,
    shop: Arc<Shop>,
}

/// What the shop is made of.
pub struct SampleSettings {
    /// Taken when it is free; otherwise, or when it is 0, any free port.
    pub port: u16,
    /// What `POST /admin/secrets` wants as `authorization: Bearer …`.
    pub admin_token: SecretString,
    /// Tells the time.
    pub clock: Clock,
}

struct Shop {
    clock: Clock,
    admin_token: SecretString,
    requests: AtomicU64,
    // A std mutex: it is held for some microseconds, and never over an await.
    state: Mutex<Showroom>,
}

struct Showroom {
    cache: Cache,
    operations: Operations,
}

impl SampleShop {
    /// Listens on loopback. The future serves until `cancel`; whoever starts the shop owns and awaits it.
    pub async fn start(
        settings: SampleSettings,
        cancel: CancellationToken,
    ) -> io::Result<(Self, impl Future<Output = io::Result<()>> + Send + use<>)> {
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        };
        let shop = Self {
            address: listener.local_addr()?,
            shop: Arc::new(Shop {
                clock: settings.clock,
                admin_token: settings.admin_token,
                requests: AtomicU64::new(0),
                state: Mutex::new(Showroom {
                    cache: Cache::default(),
                    operations: Operations::default(),
                }),
            }),
        };
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shop.shop));
        let serving = async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(cancel.cancelled_owned())
                .await
        };
        Ok((shop, serving))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many pages were asked for, over HTTP, since the start; `/admin` and `BAN` don't count.
    pub fn requests(&self) -> u64 {
        self.shop.requests.load(Ordering::Relaxed)
    }

    /// Fetches the front page once, so that the first flush shows `HIT` before and `MISS` after.
    pub fn warm(&self) {
        self.shop.page(FRONT_PAGE);
    }
}

impl Shop {
    fn state(&self) -> MutexGuard<'_, Showroom> {
        // A panic while it was held leaves sample data, at worst; the sample goes on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page from the cache, or rendered anew; and which of the two.
    fn page(&self, path: &str) -> (Page, &'static str, u64) {
        let now = self.clock.now();
        let mut state = self.state();
        if let Some((page, age)) = state.cache.get(path, now) {
            return (page, "HIT", age);
        }
        let version = state.operations.version();
        let body = format!(
            "<!doctype html>\n<title>The sample shop</title>\n<h1>The sample shop</h1>\n\
             <p>version {version}, rendered at {}</p>\n",
            now.strftime("%Y-%m-%d %H:%M:%S UTC")
        );
        let page = Page::from(body);
        state.cache.put(path, page.clone(), now);
        (page, "MISS", 0)
    }
}

async fn answer(State(shop): State<Arc<Shop>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/admin" || path.starts_with("/admin/") {
        return admin::answer(&shop, request).await;
    }
    match request.method() {
        &Method::GET | &Method::HEAD => page(&shop, request.uri()),
        method if method.as_str() == "BAN" => {
            let dropped = shop.state().cache.ban(&path);
            text(
                StatusCode::OK,
                format!("dropped {dropped} cached pages under {path}\n"),
            )
        }
        _ => text(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET a page, or BAN a path\n".to_owned(),
        ),
    }
}

fn page(shop: &Shop, uri: &axum::http::Uri) -> Response<Body> {
    shop.requests.fetch_add(1, Ordering::Relaxed);
    let asked = uri.path_and_query().map_or("/", |asked| asked.as_str());
    if asked.len() > cache::LONGEST_PATH {
        return text(
            StatusCode::URI_TOO_LONG,
            "the path is too long\n".to_owned(),
        );
    }
    let (body, cached, age) = shop.page(asked);
    let mut response = Response::new(Body::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert("x-cache", HeaderValue::from_static(cached));
    headers.insert(header::AGE, HeaderValue::from(age));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=180"),
    );
    response
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
