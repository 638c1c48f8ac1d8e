//! How calls leave chat: a webhook, a pager, e-mail. Each need not be there; what runbooks ask for and is not is told.

use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

use super::reader::{Reader, check_url, is_loopback};

/// Where PagerDuty takes events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// How calls leave chat.
#[derive(Debug, Clone, Default)]
pub struct CallSettings {
    /// Where calls are posted as JSON. May hold a secret.
    pub webhook: Option<SecretString>,
    /// Where incidents are opened.
    pub pager: Option<PagerSettings>,
    /// How e-mail is sent.
    pub smtp: Option<SmtpSettings>,
}

/// Where incidents are opened.
#[derive(Debug, Clone)]
pub struct PagerSettings {
    /// Takes PagerDuty's Events API v2.
    pub url: String,
    /// The key of the integration.
    pub key: SecretString,
}

/// How e-mail is sent.
#[derive(Clone)]
pub struct SmtpSettings {
    /// `smtps://USER:PASSWORD@HOST`, as the library reads it.
    pub url: SecretString,
    /// Whose address it comes from.
    pub from: String,
    password: Option<SecretString>,
}

/// Prints no password.
impl fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSettings")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl CallSettings {
    /// Values that must never be seen.
    pub(super) fn secret_values(&self) -> Vec<SecretString> {
        let keys = self.pager.iter().map(|pager| &pager.key);
        let smtp = self.smtp.iter().flat_map(|smtp| {
            let password = smtp.password.as_ref();
            std::iter::once(&smtp.url).chain(password)
        });
        self.webhook
            .iter()
            .chain(keys)
            .chain(smtp)
            .cloned()
            .collect()
    }
}

pub(super) fn read(reader: &mut Reader) -> CallSettings {
    let webhook = reader.hidden("MIDWATCH_CALL_WEBHOOK", |text| {
        check_url(text).map(|()| SecretString::from(text))
    });
    CallSettings {
        webhook,
        pager: read_pager(reader),
        smtp: read_smtp(reader),
    }
}

fn read_pager(reader: &mut Reader) -> Option<PagerSettings> {
    let key = reader.token(
        "MIDWATCH_PAGER_KEY",
        "",
        "the integration key of a service, Events API v2",
    );
    let url = reader.api_url("MIDWATCH_PAGER_URL", PAGERDUTY);
    key.map(|key| PagerSettings { url, key })
}

fn read_smtp(reader: &mut Reader) -> Option<SmtpSettings> {
    let url = reader.hidden("MIDWATCH_SMTP_URL", check_smtp);
    let from = reader.optional("MIDWATCH_SMTP_FROM", |text| {
        let address = text.parse::<lettre::message::Mailbox>();
        address
            .map(|_| text.to_owned())
            .map_err(|_| "is no e-mail address; write it like midwatch@example.org".to_owned())
    });
    match (url, from) {
        (Some((url, password)), Some(from)) => Some(SmtpSettings {
            url,
            from,
            password,
        }),
        (Some(_), None) => {
            reader.problem(
                "MIDWATCH_SMTP_URL is set, and nothing says whom e-mail comes from; set MIDWATCH_SMTP_FROM".to_owned(),
            );
            None
        }
        (None, _) => None,
    }
}

type Smtp = (SecretString, Option<SecretString>);

fn check_smtp(text: &str) -> Result<Smtp, String> {
    const EXAMPLE: &str = "write it like smtps://USER:PASSWORD@mail.example.org";
    let url = Url::parse(text).map_err(|why| format!("is not an address ({why}); {EXAMPLE}"))?;
    let encrypted = match url.scheme() {
        "smtps" => true,
        "smtp" => url
            .query_pairs()
            .any(|(key, value)| key == "tls" && value == "required"),
        _ => return Err(format!("is no address of a mail server; {EXAMPLE}")),
    };
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("names no mail server; {EXAMPLE}"));
    }
    // The kind of address has no hosts of its own in this library: it is looked at as one of the web.
    let host = format!("http://{}", url.host_str().unwrap_or_default());
    if !encrypted && !Url::parse(&host).is_ok_and(|host| is_loopback(&host)) {
        return Err(
            "is not encrypted, and that is for this host alone; write smtps://, or add ?tls=required".to_owned(),
        );
    }
    let password = url
        .password()
        .map(|it| percent_decode_str(it).decode_utf8_lossy());
    Ok((
        text.into(),
        password.map(|it| SecretString::from(it.as_ref())),
    ))
}
