//! The document of the API, and a viewer for it. All of it comes from the binary; the viewer needs no script.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::door::bare;
use super::problem::KINDS;
use crate::catalog::yaml;

/// What the document is written as.
const TEXT: &str = include_str!("openapi.yml");
const STYLE: &str = include_str!("docs.css");
/// The viewer loads its one style from here, and nothing else from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document, read once.
pub(super) struct Document {
    json: String,
    page: String,
}

impl Document {
    pub(super) fn read() -> Self {
        let document = yaml("openapi.yml", TEXT).expect("a test reads this very text");
        Self {
            json: format!("{document}\n"),
            page: page(&document),
        }
    }

    /// `/openapi.json`.
    pub(super) fn json(&self) -> Response {
        let kind = [(header::CONTENT_TYPE, "application/json")];
        bare((kind, self.json.clone()).into_response())
    }

    /// `/docs`.
    pub(super) fn page(&self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        shown((kind, self.page.clone()).into_response())
    }
}

/// `/docs/style.css`.
pub(super) async fn style() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    shown((kind, STYLE).into_response())
}

fn shown(mut response: Response) -> Response {
    let policy: (HeaderName, &str) = (header::CONTENT_SECURITY_POLICY, POLICY);
    let value = HeaderValue::from_static(policy.1);
    response.headers_mut().insert(policy.0, value);
    bare(response)
}

fn page(document: &Value) -> String {
    let info = &document["info"];
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{title} API</title><link rel=stylesheet href=/docs/style.css>\
         <main><h1>{title} API</h1><p>{about}</p><p><a href=/openapi.json>openapi.json</a></p>",
        title = text(&info["title"]),
        about = text(&info["description"]),
    );
    for tag in document["tags"].as_array().into_iter().flatten() {
        html.push_str(&format!(
            "<h2>{}</h2><p>{}</p>",
            text(&tag["name"]),
            text(&tag["description"])
        ));
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for method in ["get", "post"] {
                let operation = &item[method];
                if operation["tags"][0] == tag["name"] {
                    html.push_str(&section(document, (method, path), item, operation));
                }
            }
        }
    }
    html.push_str("<h2>problems</h2><dl>");
    for kind in KINDS {
        html.push_str(&format!(
            "<dt id=problem-{code}><code>{code}</code> {status}</dt><dd>{title}; {next}</dd>",
            code = kind.code,
            status = kind.status,
            title = escaped(kind.title),
            next = escaped(kind.next),
        ));
    }
    html.push_str("</dl><h2>schemas</h2>");
    let schemas = document["components"]["schemas"].as_object();
    for (name, schema) in schemas.into_iter().flatten() {
        html.push_str(&format!(
            "<details id=schema-{name}><summary>{name}</summary><pre>{}</pre></details>",
            escaped(&format!("{schema:#}"))
        ));
    }
    html.push_str("</main></html>\n");
    html
}

fn section(
    document: &Value,
    (method, path): (&str, &str),
    item: &Value,
    operation: &Value,
) -> String {
    let mut html = format!(
        "<section id={id}><h3><code>{method} {path}</code></h3><p>{summary}. Needs the scope <code>{scope}</code>.</p>",
        id = text(&operation["operationId"]),
        method = method.to_ascii_uppercase(),
        path = escaped(path),
        summary = text(&operation["summary"]),
        scope = text(&operation["x-scope"]),
    );
    if operation["description"].is_string() {
        html.push_str(&format!("<p>{}</p>", text(&operation["description"])));
    }
    let shared = item["parameters"].as_array().into_iter().flatten();
    let own = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<String> = shared
        .chain(own)
        .map(|parameter| {
            let parameter = meant(document, parameter);
            format!(
                "<li><code>{}</code> in {} {}</li>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                text(&parameter["description"])
            )
        })
        .collect();
    if !parameters.is_empty() {
        html.push_str(&format!("<ul>{}</ul>", parameters.concat()));
    }
    let body = meant(document, &operation["requestBody"]);
    if let Some(schema) = schema_of(body) {
        html.push_str(&format!("<p>Takes {}.</p>", link(schema)));
    }
    html.push_str("<ul>");
    let responses = operation["responses"].as_object();
    for (status, response) in responses.into_iter().flatten() {
        let response = meant(document, response);
        let shape = schema_of(response).map(link).unwrap_or_default();
        html.push_str(&format!(
            "<li><b>{}</b> {} {shape}</li>",
            escaped(status),
            text(&response["description"])
        ));
    }
    html.push_str("</ul></section>");
    html
}

/// What a reference within the document stands for.
fn meant<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    pointer
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(value)
}

fn schema_of(holder: &Value) -> Option<&Value> {
    let content = holder["content"].as_object()?;
    content.values().next().map(|it| &it["schema"])
}

fn link(schema: &Value) -> String {
    let one = |schema: &Value| {
        let name = schema["$ref"].as_str()?.rsplit('/').next()?.to_owned();
        Some(format!(
            "<a href=#schema-{name}>{name}</a>",
            name = escaped(&name)
        ))
    };
    let several = schema["anyOf"].as_array().into_iter().flatten();
    let names: Vec<String> = one(schema)
        .into_iter()
        .chain(several.filter_map(one))
        .collect();
    names.join(" or ")
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_read_and_shown_without_script_or_network() {
        let document = Document::read();
        let read: Value = serde_json::from_str(&document.json).unwrap();
        assert_eq!(read["openapi"], "3.1.0");
        for word in ["<script", "http://", "https://", "style=", "onclick"] {
            assert!(!document.page.contains(word), "{word}");
        }
        assert!(document.page.contains("GET /api/v1/tasks"));
        assert!(document.page.contains("id=problem-running"));
    }
}
