//! The API: tasks, runs and all that programs ask for. One table of routes; the document is held to it by a test.
//!
//! It decides nothing: what changes something is said in our grammar and walks the one path, as words in chat do.

mod asked;
mod document;
mod door;
mod follow;
mod ledger;
mod problem;
mod projects;
mod reply;
mod runs;
mod say;
mod shape;
mod tasks;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get};
use tokio_util::sync::CancellationToken;

use self::asked::Asked;
use self::document::Document;
use self::door::Door;
use self::follow::Feeds;
use self::problem::Problem;
use self::reply::Reply;
use crate::catalog::CurrentCatalog;
use crate::clock::Clock;
use crate::dispatch::Dispatch;
use crate::domain::{Inbound, Scope};
use crate::store::{Receipt, Store, StoreError};

pub use self::problem::{KINDS, Kind};

/// Where what programs say is handed over: answers once it is durable.
pub type Receive = Arc<dyn Fn(Inbound) -> Receiving + Send + Sync>;
/// The answer of a [`Receive`], when it comes.
pub type Receiving = Pin<Box<dyn Future<Output = Result<Receipt, StoreError>> + Send>>;

/// What the API is made of.
pub struct ApiParts {
    /// Where facts are read.
    pub store: Store,
    /// The catalog in force.
    pub catalog: CurrentCatalog,
    /// Tells the time.
    pub clock: Clock,
    /// Takes what is said.
    pub receive: Receive,
    /// Ends what would go on for ever: those who follow runs.
    pub stop: CancellationToken,
}

/// The API.
pub(super) struct Api {
    store: Store,
    catalog: CurrentCatalog,
    clock: Clock,
    receive: Receive,
    /// Asks the runbook; records nothing.
    dispatch: Dispatch,
    door: Door,
    feeds: Feeds,
}

type Answering = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;

/// One thing that can be asked for.
struct Route {
    method: Method,
    path: &'static str,
    /// What the caller's token must be good for.
    scope: Scope,
    answer: fn(Arc<Api>, Asked) -> Answering,
}

macro_rules! route {
    ($method:ident $path:literal $scope:ident $answer:path) => {
        Route {
            method: Method::$method,
            path: $path,
            scope: Scope::$scope,
            answer: |api, asked| Box::pin($answer(api, asked)),
        }
    };
}

/// Every route there is: the router is made of this table, and the document is held to it.
static ROUTES: &[Route] = &[
    route!(GET "/api/v1/processes" Read tasks::processes),
    route!(GET "/api/v1/tasks" Read tasks::list),
    route!(GET "/api/v1/task/{name}" Read tasks::look),
    route!(POST "/api/v1/task/{name}" Run tasks::start),
    route!(POST "/api/v1/decision" Read tasks::judge),
    route!(GET "/api/v1/runs" Read runs::list),
    route!(POST "/api/v1/runs" Run tasks::say_words),
    route!(GET "/api/v1/run/{run}" Read runs::look),
    route!(GET "/api/v1/run/{run}/events" Read runs::follow),
    route!(POST "/api/v1/run/{run}/cancel" Run runs::cancel),
    route!(POST "/api/v1/run/{run}/join" Run runs::join),
    route!(POST "/api/v1/run/{run}/approval" Approve runs::consent),
    route!(GET "/api/v1/projects" Read projects::list),
    route!(GET "/api/v1/project/{name}" Read projects::look),
    route!(GET "/api/v1/project/{name}/oncall" Read projects::on_call),
    route!(GET "/api/v1/project/{name}/timeline" Read projects::timeline),
    route!(GET "/api/v1/project/{name}/locks" Read projects::locks),
    route!(GET "/api/v1/ledger" Read ledger::export),
    route!(GET "/api/v1/ledger/checkpoint" Read ledger::checkpoint),
];

/// Method, path and needed scope of every route, for whoever holds the document to them.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str, Scope)> {
    let all = ROUTES.iter();
    all.map(|route| (route.method.as_str(), route.path, route.scope))
}

/// What the server itself says of a request that took too long or was too large, as programs read it.
pub(super) fn as_problem(response: Response) -> Response {
    let is_plain = !response
        .headers()
        .contains_key(header::CONTENT_SECURITY_POLICY);
    let problem = match response.status() {
        StatusCode::REQUEST_TIMEOUT => Problem::new("timeout", "it took longer than 15 seconds"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new("too_large", "the body is too large"),
        _ => return response,
    };
    if is_plain {
        return door::bare(problem.into_response());
    }
    response
}

/// The routes of the API, of its document and of the viewer.
pub fn router(parts: ApiParts) -> Router {
    let document = Arc::new(Document::read());
    let api = Arc::new(Api {
        dispatch: Dispatch {
            store: parts.store.clone(),
            catalog: Arc::clone(&parts.catalog),
            roster: None,
            clock: parts.clock.clone(),
            mirrors_on: Vec::new(),
        },
        feeds: Feeds::new(parts.store.clone(), parts.stop),
        store: parts.store,
        catalog: parts.catalog,
        clock: parts.clock,
        receive: parts.receive,
        door: Door::new(),
    });
    let paths: BTreeSet<&'static str> = ROUTES.iter().map(|route| route.path).collect();
    let mut router = Router::new();
    for path in paths {
        let api = Arc::clone(&api);
        let answer = move |names, request| {
            let api = Arc::clone(&api);
            async move { door::answer(api, path, names, request).await }
        };
        router = router.route(path, any(answer));
    }
    let nothing = any(async || door::bare(Problem::not_found().into_response()));
    let (json, page) = (Arc::clone(&document), document);
    router
        .route("/api", nothing.clone())
        .route("/api/", nothing.clone())
        .route("/api/{*rest}", nothing)
        .route("/openapi.json", get(async move || json.json()))
        .route("/docs", get(async move || page.page()))
        .route("/docs/style.css", get(document::style))
}
