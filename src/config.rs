//! The settings: read once from the environment and then a file, checked all at once, never read again.
//!
//! Nothing else looks at the environment. Values of secrets never stand in a problem or a description.

mod calls;
mod file;
mod reader;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use ed25519_dalek::VerifyingKey;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::domain::SecretName;

pub use calls::{CallSettings, PagerSettings, SmtpSettings};
use reader::Reader;
pub(crate) use reader::check_url;

/// The file that is read when `MIDWATCH_CONFIG` names none and it exists.
pub const DEFAULT_FILE: &str = "midwatch.env";

/// Every name that is read, beside the families `MIDWATCH_SECRET_…` and `VAR_…`.
pub const NAMES: &[&str] = &[
    "DATABASE_URL",
    "DISCORD_API_URL",
    "DISCORD_PUBLIC_KEY",
    "DISCORD_TOKEN",
    "MIDWATCH_CALL_WEBHOOK",
    "MIDWATCH_COMMANDS",
    "MIDWATCH_CONFIG",
    "MIDWATCH_DATA",
    "MIDWATCH_LISTEN",
    "MIDWATCH_LOG",
    "MIDWATCH_LOG_FORMAT",
    "MIDWATCH_PAGER_KEY",
    "MIDWATCH_PAGER_URL",
    "MIDWATCH_RUNBOOKS",
    "MIDWATCH_SECRETS",
    "MIDWATCH_SERVER",
    "MIDWATCH_SMTP_FROM",
    "MIDWATCH_SMTP_URL",
    "MIDWATCH_TOKEN",
    "SLACK_API_URL",
    "SLACK_APP_TOKEN",
    "SLACK_BOT_TOKEN",
    "SLACK_SIGNING_SECRET",
];

/// Every setting, checked.
#[derive(Clone)]
pub struct Settings {
    /// `sqlite:PATH` or `postgres://…`.
    pub database_url: String,
    /// Folder of the embedded database, keys and output files.
    pub data: PathBuf,
    /// Where HTTP listens.
    pub listen: SocketAddr,
    /// Folder of the commands.
    pub commands: PathBuf,
    /// Folder of the runbooks.
    pub runbooks: PathBuf,
    /// `None` when no Slack setting is given.
    pub slack: Option<SlackSettings>,
    /// `None` when no Discord setting is given.
    pub discord: Option<DiscordSettings>,
    /// How calls leave chat.
    pub calls: CallSettings,
    /// The server that `midwatch run` asks; `None`: the one that was logged in at, or none.
    pub server: Option<String>,
    /// What the server is shown.
    pub token: Option<SecretString>,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Folder with one file for each secret, named like it.
    pub secrets_folder: Option<PathBuf>,
    /// Values of `VAR_NAME`, by the whole name.
    pub variables: BTreeMap<String, String>,
    secrets: BTreeMap<SecretName, SecretString>,
    shown: Vec<Shown>,
}

/// How Slack is spoken to. At least one of `app_token` and `signing_secret` is given.
#[derive(Debug, Clone)]
pub struct SlackSettings {
    /// `xoxb-…`.
    pub bot_token: SecretString,
    /// `xapp-…`; Socket Mode is used when it is given.
    pub app_token: Option<SecretString>,
    /// Signed requests are taken over HTTP when it is given.
    pub signing_secret: Option<SecretString>,
    /// Where its API is; no slash at the end.
    pub api_url: String,
}

/// How Discord is spoken to.
#[derive(Debug, Clone)]
pub struct DiscordSettings {
    /// The bot's token.
    pub token: SecretString,
    /// The application's public key: when it is given, interactions are taken over HTTP and no gateway is opened.
    pub public_key: Option<VerifyingKey>,
    /// Where it is; no path and no slash at the end.
    pub api_url: String,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A filter of `tracing`, such as `info` or `info,midwatch::chat=debug`; valid.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// One setting as `doctor` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its value; `set` or `not set` for secrets.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The environment.
    Environment,
    /// `midwatch.env:3`.
    File(String),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("environment"),
            Self::File(place) => f.write_str(place),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Settings {
    /// Reads and checks all settings; what the environment sets wins over the file.
    ///
    /// # Errors
    /// Every problem at once, each a line: what is wrong, where, what to do next. Non-empty.
    pub fn read(
        environment: &BTreeMap<String, String>,
        file: Option<&Path>,
    ) -> Result<Self, Vec<String>> {
        let mut reader = Reader::open(environment, file);
        let settings = read_all(&mut reader);
        reader.finish()?;
        Ok(settings)
    }

    /// The secrets that were given as settings, by the whole name of their variable.
    pub fn secret_variables(&self) -> BTreeMap<String, String> {
        let variable =
            |name: &SecretName| format!("MIDWATCH_SECRET_{}", name.as_str().to_ascii_uppercase());
        let secrets = self.secrets.iter();
        secrets
            .map(|(name, value)| (variable(name), value.expose_secret().to_owned()))
            .collect()
    }

    /// Every value that must never be seen: tokens, and the secrets that were given as settings.
    pub fn secret_values(&self) -> Vec<SecretString> {
        let slack = self.slack.iter().flat_map(|slack| {
            let optional = [&slack.app_token, &slack.signing_secret];
            std::iter::once(&slack.bot_token).chain(optional.into_iter().flatten())
        });
        // As it stands in the address, and as the server knows it.
        let database = Url::parse(&self.database_url).ok();
        let database = database.as_ref().and_then(Url::password).map(|password| {
            let decoded = percent_decode_str(password).decode_utf8_lossy();
            [SecretString::from(decoded.as_ref()), password.into()]
        });
        let discord = self.discord.iter().map(|discord| &discord.token);
        slack
            .chain(discord)
            .chain(self.secrets.values())
            .chain(&self.token)
            .cloned()
            .chain(self.calls.secret_values())
            .chain(database.into_iter().flatten())
            .collect()
    }

    /// Each setting, its value and where that comes from, for `doctor`. Secrets are only said to be set or not.
    pub fn describe(&self) -> &[Shown] {
        &self.shown
    }
}

/// Prints what `doctor` shows, and so no secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown.iter();
        f.debug_map()
            .entries(shown.map(|shown| (&shown.name, &shown.value)))
            .finish()
    }
}

/// The process's environment. The one place that reads it; what is not UTF-8 can't be ours and is left out.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The settings file: what `MIDWATCH_CONFIG` names, or [`DEFAULT_FILE`] in `folder` when it exists.
pub fn settings_file(environment: &BTreeMap<String, String>, folder: &Path) -> Option<PathBuf> {
    match environment
        .get("MIDWATCH_CONFIG")
        .filter(|path| !path.is_empty())
    {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(folder.join(DEFAULT_FILE)).filter(|path| path.is_file()),
    }
}

/// The environment as `try` sees it: no account and no database of its owner's, and its own folder unless one is named.
pub fn try_environment(mut environment: BTreeMap<String, String>) -> BTreeMap<String, String> {
    environment.retain(|name, _| {
        let accounts = ["SLACK_", "DISCORD_", "MIDWATCH_PAGER_", "MIDWATCH_SMTP_"];
        let account = accounts.iter().any(|prefix| name.starts_with(prefix));
        !account && name != "DATABASE_URL" && name != "MIDWATCH_CALL_WEBHOOK"
    });
    environment
        .entry("MIDWATCH_DATA".to_owned())
        .or_insert_with(|| ".midwatch".to_owned());
    environment
}

fn read_all(reader: &mut Reader) -> Settings {
    let data = PathBuf::from(reader.text("MIDWATCH_DATA", "./midwatch-data"));
    let sqlite = format!("sqlite:{}", data.join("midwatch.db").display());
    let database_url = reader.database_url(&sqlite);
    let listen = reader.parsed("MIDWATCH_LISTEN", "127.0.0.1:7380", |text| {
        text.parse()
            .map_err(|_| "is not an address and port; write it like 127.0.0.1:7380".to_owned())
    });
    let settings = Settings {
        database_url,
        data,
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7380))),
        commands: PathBuf::from(reader.text("MIDWATCH_COMMANDS", "./commands")),
        runbooks: PathBuf::from(reader.text("MIDWATCH_RUNBOOKS", "./runbooks")),
        slack: read_slack(reader),
        discord: read_discord(reader),
        calls: calls::read(reader),
        server: reader.optional("MIDWATCH_SERVER", |text| {
            check_url(text).map(|()| text.trim_end_matches('/').to_owned())
        }),
        token: reader.token("MIDWATCH_TOKEN", "mw_", "`midwatch token add` makes one"),
        log: read_log(reader),
        secrets_folder: reader.folder("MIDWATCH_SECRETS"),
        variables: reader.variables(),
        secrets: reader.secrets(),
        shown: Vec::new(),
    };
    Settings {
        shown: std::mem::take(&mut reader.shown),
        ..settings
    }
}

fn read_log(reader: &mut Reader) -> LogSettings {
    let filter =
        reader.parsed(
            "MIDWATCH_LOG",
            "info",
            |text| match tracing_subscriber::EnvFilter::try_new(text) {
                Ok(_) => Ok(text.to_owned()),
                Err(why) => Err(format!(
                    "is not a log filter ({why}); write it like info or info,midwatch::chat=debug"
                )),
            },
        );
    let format = reader.parsed("MIDWATCH_LOG_FORMAT", "text", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is neither text nor json".to_owned()),
    });
    LogSettings {
        filter: filter.unwrap_or_default(),
        format: format.unwrap_or(LogFormat::Text),
    }
}

fn read_slack(reader: &mut Reader) -> Option<SlackSettings> {
    let bot_token = reader.token("SLACK_BOT_TOKEN", "xoxb-", BOT_TOKEN_PLACE);
    let app_token = reader.token("SLACK_APP_TOKEN", "xapp-", APP_TOKEN_PLACE);
    let signing_secret = reader.token("SLACK_SIGNING_SECRET", "", SIGNING_SECRET_PLACE);
    let api_url = reader.api_url("SLACK_API_URL", "https://slack.com/api");
    let doors = app_token.is_some() || signing_secret.is_some();
    match bot_token {
        Some(bot_token) if doors => Some(SlackSettings {
            bot_token,
            app_token,
            signing_secret,
            api_url,
        }),
        Some(_) => {
            reader.problem(format!(
                "SLACK_BOT_TOKEN is set, but nothing says how Slack reaches us; set SLACK_APP_TOKEN for Socket Mode \
                 ({APP_TOKEN_PLACE}), or SLACK_SIGNING_SECRET for signed requests ({SIGNING_SECRET_PLACE})"
            ));
            None
        }
        None if doors => {
            let given = if app_token.is_some() {
                "SLACK_APP_TOKEN"
            } else {
                "SLACK_SIGNING_SECRET"
            };
            reader.problem(format!(
                "SLACK_BOT_TOKEN is missing, and {given} is set; copy the token that starts with xoxb- ({BOT_TOKEN_PLACE})"
            ));
            None
        }
        None => None,
    }
}

fn read_discord(reader: &mut Reader) -> Option<DiscordSettings> {
    let token = reader.token("DISCORD_TOKEN", "", DISCORD_TOKEN_PLACE);
    let key = reader.optional("DISCORD_PUBLIC_KEY", |text| {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        key.ok_or_else(|| {
            format!("is not a public key of 64 hexadecimal digits; copy it ({DISCORD_KEY_PLACE})")
        })
    });
    let api_url = reader.parsed("DISCORD_API_URL", "https://discord.com", |text| {
        check_url(text)?;
        let bare = text.trim_end_matches('/');
        if bare.matches('/').count() > 2 {
            return Err("has a path; write the host alone, like https://discord.com".to_owned());
        }
        Ok(bare.to_owned())
    });
    match (token, key) {
        (Some(token), public_key) => Some(DiscordSettings {
            token,
            public_key,
            api_url: api_url.unwrap_or_default(),
        }),
        (None, Some(_)) => {
            reader.problem(format!(
                "DISCORD_TOKEN is missing, and DISCORD_PUBLIC_KEY is set; copy the token ({DISCORD_TOKEN_PLACE})"
            ));
            None
        }
        (None, None) => None,
    }
}

const DISCORD_TOKEN_PLACE: &str =
    "discord.com/developers/applications, your application, Bot, Reset Token";
const DISCORD_KEY_PLACE: &str =
    "discord.com/developers/applications, your application, General Information, Public Key";
const BOT_TOKEN_PLACE: &str =
    "api.slack.com/apps, your app, OAuth & Permissions, Bot User OAuth Token";
const APP_TOKEN_PLACE: &str =
    "api.slack.com/apps, your app, Basic Information, App-Level Tokens, scope connections:write";
const SIGNING_SECRET_PLACE: &str =
    "api.slack.com/apps, your app, Basic Information, App Credentials";
