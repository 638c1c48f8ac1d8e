//! What is wrong, as programs read it: RFC 9457, with a stable code, the rule that decided, and the next step.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::domain::RuleRef;
use crate::store::StoreError;

/// A kind of problem: its code never changes its meaning.
pub struct Kind {
    /// The stable word.
    pub code: &'static str,
    /// What HTTP calls it.
    pub status: u16,
    /// What is true, in a few words.
    pub title: &'static str,
    /// What to do next, a sentence.
    pub next: &'static str,
}

/// Every kind that the API itself knows. Words of refusals that are not here have status 409.
pub const KINDS: &[Kind] = &[
    kind(
        "no_token",
        401,
        "no token is shown",
        "send `Authorization: Bearer mw_…`; `midwatch token add PERSON` makes one",
    ),
    kind(
        "bad_token",
        401,
        "this is no token of ours",
        "make one with `midwatch token add PERSON`",
    ),
    kind(
        "token_expired",
        401,
        "the token's time is over",
        "make another with `midwatch token add PERSON`",
    ),
    kind(
        "token_revoked",
        401,
        "the token was revoked",
        "make another with `midwatch token add PERSON`",
    ),
    kind(
        "stranger",
        403,
        "the token's person is not in people.yaml",
        "add the person to people.yaml, or use another token",
    ),
    kind(
        "scope",
        403,
        "the token is not good for this",
        "make a token with the scope that this names",
    ),
    kind(
        "whole_ledger",
        403,
        "the ledger is of all projects, and the token is not",
        "make a token without --project",
    ),
    kind(
        "denied",
        403,
        "the runbook does not allow it",
        "ask whom the detail names",
    ),
    kind(
        "not_yours",
        403,
        "this run is not yours to change",
        "ask whom the detail names",
    ),
    kind(
        "not_an_approver",
        403,
        "your consent does not count for this run",
        "ask whom the detail names",
    ),
    kind(
        "own_run",
        403,
        "nobody consents to their own run",
        "ask whom the detail names",
    ),
    kind(
        "origin",
        403,
        "the API is not for pages of other sites",
        "call it from a program, without `Origin`",
    ),
    kind(
        "not_found",
        404,
        "there is nothing here",
        "look at /openapi.json for what there is",
    ),
    kind(
        "unknown_command",
        404,
        "there is no such task",
        "GET /api/v1/tasks lists them",
    ),
    kind(
        "unknown_project",
        404,
        "there is no such project",
        "GET /api/v1/projects lists them",
    ),
    kind(
        "unknown_run",
        404,
        "there is no such run",
        "GET /api/v1/runs lists them",
    ),
    kind(
        "method",
        405,
        "this path knows no such method",
        "look at `Allow`, and at /openapi.json",
    ),
    kind(
        "timeout",
        408,
        "the request took too long to arrive",
        "send it again, all of it at once",
    ),
    kind(
        "running",
        409,
        "a run of it is going on",
        "follow that run, join it with POST to `join`, or wait for its end",
    ),
    kind(
        "just_done",
        409,
        "somebody just did the very same",
        "use that run's result, or send `again: true` with a reason",
    ),
    kind(
        "frozen",
        409,
        "changes are frozen now",
        "wait until the detail says that it ends",
    ),
    kind(
        "locked",
        409,
        "somebody has locked it",
        "talk to who did, or wait until the lock ends",
    ),
    kind(
        "late",
        409,
        "it reached us too late",
        "send it again, if it is still wanted",
    ),
    kind(
        "too_large",
        413,
        "the body is too large",
        "send at most 65,536 bytes",
    ),
    kind(
        "content_type",
        415,
        "the body is not JSON",
        "send `Content-Type: application/json`",
    ),
    kind(
        "bad_json",
        400,
        "the body can't be read",
        "correct it where the detail says",
    ),
    kind(
        "bad_query",
        400,
        "the query can't be read",
        "correct the parameter that the detail names; /openapi.json lists them",
    ),
    kind(
        "bad_header",
        400,
        "a header can't be read",
        "correct the header that the detail names",
    ),
    kind(
        "bad_request",
        422,
        "the body is not what this path takes",
        "correct what the detail names; /openapi.json has its schema",
    ),
    kind(
        "key_reused",
        422,
        "this Idempotency-Key was sent with another request",
        "take a new key for a new request",
    ),
    kind(
        "unsayable",
        422,
        "a value holds characters that can't be taken",
        "leave out invisible characters and, in lists, commas",
    ),
    kind(
        "missing",
        422,
        "something is missing",
        "give what the detail names",
    ),
    kind(
        "bad_value",
        422,
        "a value is not what its parameter accepts",
        "give what the detail says it accepts",
    ),
    kind(
        "unknown_parameter",
        422,
        "the task has no such parameter",
        "GET the task for its parameters",
    ),
    kind(
        "given_twice",
        422,
        "something is given twice",
        "give it once",
    ),
    kind(
        "too_many_words",
        422,
        "there is more than the task takes",
        "GET the task for its parameters",
    ),
    kind(
        "too_long",
        422,
        "that is longer than we read",
        "make it shorter",
    ),
    kind(
        "bad_builtin",
        422,
        "it is not said as it must be",
        "correct what the detail names",
    ),
    kind(
        "which_project",
        422,
        "no project is named",
        "name one in `project`",
    ),
    kind(
        "rate_limit",
        429,
        "too many requests with this token",
        "wait as long as `Retry-After` says",
    ),
    kind(
        "too_many",
        429,
        "too many changes were begun within a minute",
        "wait until the detail says that there is room",
    ),
    kind(
        "too_many_followers",
        429,
        "too many follow runs already",
        "look at the run now and then instead",
    ),
    kind(
        "fault",
        500,
        "something broke on our side",
        "send it again with the same Idempotency-Key; tell the operator if it stays",
    ),
    kind(
        "unavailable",
        503,
        "the database does not answer",
        "send it again with the same Idempotency-Key in a moment",
    ),
    kind(
        "newer_version",
        503,
        "a newer version of midwatch wrote this",
        "ask again in a minute: another replica may be able to",
    ),
];

const fn kind(code: &'static str, status: u16, title: &'static str, next: &'static str) -> Kind {
    Kind {
        code,
        status,
        title,
        next,
    }
}

/// One problem, on its way to who asked.
#[derive(Debug, Clone)]
pub(super) struct Problem(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    code: Cow<'static, str>,
    detail: String,
    rule: Option<RuleRef>,
    more: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// Of this kind; the detail says what exactly, in words, and holds nothing that the caller may not know.
    pub(super) fn new(code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self(Box::new(Told {
            code: code.into(),
            detail: detail.into(),
            rule: None,
            more: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// Nothing here, whatever there may be for others.
    pub(super) fn not_found() -> Self {
        Self::new("not_found", "nothing is at this path")
    }

    /// What the rule says it.
    pub(super) fn rule(mut self, rule: Option<RuleRef>) -> Self {
        self.0.rule = rule;
        self
    }

    /// Something more that programs read.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(key.to_owned(), value.into());
        self
    }

    /// A header beside it.
    pub(super) fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.insert(name, value);
        }
        self
    }

    /// When it may be tried again.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, &secs.max(1).to_string())
    }

    /// The answer.
    pub(super) fn into_response(self) -> Response {
        let told = *self.0;
        let kind = KINDS.iter().find(|kind| kind.code == told.code);
        let (status, title, next) = match kind {
            Some(kind) => (kind.status, kind.title, kind.next),
            None => (409, "not as things are now", "do what the detail says"),
        };
        let mut body = json!({
            "type": format!("/docs#problem-{}", told.code),
            "title": title,
            "status": status,
            "code": told.code,
            "detail": told.detail,
            "rule": told.rule.map(|rule| rule_json(&rule)),
            "next": next,
        });
        if let Some(fields) = body.as_object_mut() {
            fields.extend(told.more);
        }
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = told.headers;
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// A rule as programs read it.
pub(super) fn rule_json(rule: &RuleRef) -> Value {
    json!({ "file": rule.at.file, "line": rule.at.line, "revision": rule.revision })
}

impl From<StoreError> for Problem {
    /// The cause is for the operator: it is logged here, once, and said to nobody else.
    fn from(fault: StoreError) -> Self {
        metrics::counter!("midwatch_faults_total", "where" => "api").increment(1);
        tracing::warn!("a request to the API met a fault: {fault}");
        match fault {
            StoreError::Newer(_) => Self::new("newer_version", "this replica can't read it"),
            StoreError::Unavailable(_)
            | StoreError::NoAnswer
            | StoreError::Busy(_)
            | StoreError::NotWritable(_) => Self::new(
                "unavailable",
                "whether anything was done is not known; nothing is done twice",
            )
            .retry_after(Duration::from_secs(1)),
            StoreError::InUse(_) | StoreError::Conflict(_) | StoreError::Corrupt(_) => {
                Self::new("fault", "the log says what it was")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own_and_a_status_that_says_it() {
        let mut codes: Vec<_> = KINDS.iter().map(|kind| kind.code).collect();
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert!(KINDS.iter().all(|kind| (400..600).contains(&kind.status)));
    }

    #[test]
    fn a_fault_says_nothing_of_its_cause() {
        let fault = StoreError::Corrupt("hush".to_owned());
        let problem = Problem::from(fault);
        assert!(!format!("{problem:?}").contains("hush"));
    }
}
