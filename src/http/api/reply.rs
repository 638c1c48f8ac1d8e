//! What a handler answers when all is well, and how that becomes an HTTP answer.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// An answer.
pub(super) enum Reply {
    /// A value.
    Json {
        status: StatusCode,
        value: Value,
        /// Where what it speaks of is.
        location: Option<String>,
    },
    /// Something that is not kept in memory as a whole, or is no JSON.
    Other(Response),
}

impl Reply {
    /// What was asked for.
    pub(super) fn ok(value: Value) -> Self {
        Self::Json {
            status: StatusCode::OK,
            value,
            location: None,
        }
    }

    /// The HTTP answer. What was looked at is tagged, and not sent again to who has it already.
    pub(super) fn into_response(self, is_look: bool, asked: &HeaderMap) -> Response {
        let (status, value, location) = match self {
            Self::Other(response) => return response,
            Self::Json {
                status,
                value,
                location,
            } => (status, value, location),
        };
        let body = format!("{value}\n");
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(Ok(location)) = location.map(|it| HeaderValue::from_str(&it)) {
            headers.insert(header::LOCATION, location);
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        if is_look && status == StatusCode::OK {
            let tag = tag(&body);
            let known = asked.get_all(header::IF_NONE_MATCH).iter();
            let is_known = known
                .filter_map(|it| it.to_str().ok())
                .flat_map(|it| it.split(','))
                .any(|it| {
                    let it = it.trim();
                    it == "*" || it.trim_start_matches("W/") == tag
                });
            if let Ok(tag) = HeaderValue::from_str(&tag) {
                headers.insert(header::ETAG, tag);
            }
            if is_known {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                headers.remove(header::CONTENT_TYPE);
                *response.headers_mut() = headers;
                return response;
            }
        }
        *response.headers_mut() = headers;
        *response.body_mut() = Body::from(body);
        response
    }
}

fn tag(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    format!("\"{}\"", HEXLOWER.encode(&digest[..16]))
}
