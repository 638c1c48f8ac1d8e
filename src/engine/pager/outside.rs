//! Calls that leave chat: a webhook, a pager, e-mail. Each may arrive twice when an answer is lost, and carries what makes
//! the second recognisable.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::domain::{About, Call, Catalog, Means, Page, PersonId};
use crate::store::DueCall;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// PagerDuty's limit for a summary is 1,024 characters; a lock screen shows fewer.
const MOST_SUMMARY: usize = 500;

/// What makes calls outside chat.
#[derive(Clone, Default)]
pub struct Outside {
    http: Option<reqwest::Client>,
    webhook: Option<SecretString>,
    incidents: Option<Incidents>,
    mail: Option<Mail>,
}

/// Where incidents are opened: PagerDuty, or what takes its Events API v2.
#[derive(Debug, Clone)]
pub struct Incidents {
    /// Where events are posted.
    pub url: String,
    /// The key of the integration.
    pub key: SecretString,
}

/// How e-mail is sent.
#[derive(Debug, Clone)]
pub struct Mailing {
    /// `smtps://USER:PASSWORD@HOST`.
    pub server: SecretString,
    /// Whose address it comes from.
    pub from: String,
}

#[derive(Clone)]
struct Mail {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why calls can't leave chat.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// The HTTP client can't be made.
    #[error("the HTTP client for calls can't be made: {0}")]
    Http(#[from] reqwest::Error),
    /// The mail server's address is none.
    #[error("MIDWATCH_SMTP_URL can't be used: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// The sender's address is none.
    #[error("MIDWATCH_SMTP_FROM can't be used: {0}")]
    From(#[from] lettre::address::AddressError),
}

impl Outside {
    /// What is given can be called; the webhook's address may hold a secret.
    pub fn new(
        webhook: Option<SecretString>,
        incidents: Option<Incidents>,
        mailing: Option<&Mailing>,
    ) -> Result<Self, OutsideError> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT)
            .user_agent(concat!("midwatch/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let mail = match mailing {
            None => None,
            Some(mailing) => Some(Mail {
                server: AsyncSmtpTransport::<Tokio1Executor>::from_url(
                    mailing.server.expose_secret(),
                )?
                .timeout(Some(CONNECT * 2))
                .build(),
                from: mailing.from.parse()?,
            }),
        };
        Ok(Self {
            http: Some(http),
            webhook,
            incidents,
            mail,
        })
    }

    /// Makes a call; the error says why it did not arrive, or may not have.
    pub(super) async fn call(&self, due: &DueCall, catalog: &Catalog) -> Result<(), String> {
        let missing =
            |what: &str, setting: &str| format!("no {what} is configured here: set {setting}");
        match due.call.means {
            Means::Webhook => match &self.webhook {
                Some(url) => {
                    self.post(url.expose_secret(), due, webhook_body(due, catalog))
                        .await
                }
                None => Err(missing("webhook", "MIDWATCH_CALL_WEBHOOK")),
            },
            Means::Pager => match &self.incidents {
                Some(incidents) => {
                    self.post(&incidents.url, due, incident(incidents, due))
                        .await
                }
                None => Err(missing("pager", "MIDWATCH_PAGER_KEY")),
            },
            Means::Email => match &self.mail {
                Some(mail) => mail.send(due).await,
                None => Err(missing("mail server", "MIDWATCH_SMTP_URL")),
            },
            Means::Direct | Means::Mention => Err("the outbox delivers it".to_owned()),
        }
    }

    async fn post(&self, url: &str, due: &DueCall, body: Value) -> Result<(), String> {
        let Some(http) = &self.http else {
            return Err("no HTTP client was made".to_owned());
        };
        let sent = http
            .post(url)
            .header("Idempotency-Key", key(due))
            .json(&body)
            .send()
            .await;
        // The address may hold a secret.
        let answer = sent.map_err(|why| format!("not sent: {}", why.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(format!("the answer was {status}"))
    }
}

impl Mail {
    async fn send(&self, due: &DueCall) -> Result<(), String> {
        let to: Mailbox = due
            .call
            .to
            .parse()
            .map_err(|why| format!("no address: {why}"))?;
        let subject = shortened(&format!("[{}] {}", due.page.reference, summary(&due.page)));
        let message = lettre::Message::builder()
            .message_id(Some(format!("<{}@midwatch>", key(due).replace('/', "."))))
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .body(mail_text(&due.page, &due.call))
            .map_err(|why| format!("the message can't be written: {why}"))?;
        let sent = self.server.send(message).await;
        sent.map(drop).map_err(|why| format!("not sent: {why}"))
    }
}

/// The same for each try of a call.
fn key(due: &DueCall) -> String {
    format!("{}/{}", due.page.id, due.number)
}

/// What it is about, on one line.
fn summary(page: &Page) -> String {
    match &page.about {
        About::Words(words) => format!("{}: {words}", page.project),
        About::Consent { title, .. } => format!(
            "{}: nobody has answered whether {title} may run for {}",
            page.project, page.by
        ),
        About::Glass { title, reason, .. } => format!(
            "{}: {} broke the glass for {title}: {reason}",
            page.project, page.by
        ),
    }
}

fn level(page: &Page, call: &Call) -> String {
    let level = page.levels.get(call.level);
    level.map(|it| it.call.to_string()).unwrap_or_default()
}

fn mail_text(page: &Page, call: &Call) -> String {
    let next = match page.next_at() {
        Some(at) => format!("The next level is called at {at}."),
        None => "Nobody is called after you.".to_owned(),
    };
    let consent = match &page.about {
        About::Words(_) => String::new(),
        About::Glass { .. } => format!(
            "To see what was done, type /ops show {0}; to sign it, /ops review {0}.\n",
            page.reference
        ),
        About::Consent { .. } => format!(
            "To consent or not, type /ops approve {0} or /ops reject {0}.\n",
            page.reference
        ),
    };
    format!(
        "{}\n\n{} calls you as {}.\nTo say that you have it, type in chat: /ops ack {}\n{consent}{next}\n",
        summary(page),
        page.by,
        level(page, call),
        page.reference,
    )
}

fn shortened(text: &str) -> String {
    text.chars().take(MOST_SUMMARY).collect()
}

fn webhook_body(due: &DueCall, catalog: &Catalog) -> Value {
    let page = &due.page;
    let person = |id: &PersonId| json!({ "id": id, "name": catalog.people.name(id) });
    let persons: Vec<Value> = due.call.persons.iter().map(person).collect();
    json!({
        "event": "call",
        "page": page.id,
        "reference": page.reference,
        "project": page.project,
        "summary": summary(page),
        "by": page.by.to_string(),
        "level": due.call.level,
        "call": level(page, &due.call),
        "persons": persons,
        "began_at": page.began_at,
        "next_at": page.next_at(),
        "answer": format!("/ops ack {}", page.reference),
    })
}

/// <https://developer.pagerduty.com/docs/send-alert-event>
fn incident(incidents: &Incidents, due: &DueCall) -> Value {
    let page = &due.page;
    let mut body = json!({
        "routing_key": incidents.key.expose_secret(),
        "dedup_key": page.id,
        "event_action": if due.call.to.is_empty() { "trigger" } else { due.call.to.as_str() },
    });
    if due.call.to.is_empty() {
        body["payload"] = json!({
            "summary": shortened(&summary(page)),
            "source": "midwatch",
            "severity": "critical",
            "timestamp": page.began_at,
            "component": page.project,
            "custom_details": {
                "reference": page.reference,
                "call": level(page, &due.call),
                "persons": due.call.persons,
                "answer": format!("/ops ack {}", page.reference),
            },
        });
    }
    body
}
