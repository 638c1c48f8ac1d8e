//! A server that is asked over its API: `midwatch login`, and `midwatch run` where somebody is logged in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{Exit, say, say_error};
use crate::config::{Settings, check_url};

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer may take; one that is followed ends by itself, and is alive every few seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long nothing may come of a run that is followed, before it is asked for again.
const SILENT_FOR: Duration = Duration::from_secs(60);
/// Between two looks at a run whose events can't be followed now.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often in a row a server that can't be reached is asked again while a run is followed.
const TRIES: u32 = 30;
/// The longest event, in bytes.
const LONGEST_EVENT: usize = 1 << 20;

/// Whom we ask, and as whom.
pub(super) struct Server {
    url: String,
    token: SecretString,
    client: Client,
}

/// What is run, and how it is told.
pub(super) struct Wanted<'a> {
    /// As typed in chat.
    pub(super) says: String,
    pub(super) project: Option<&'a str>,
    /// One JSON line for each event, and for the run at its end.
    pub(super) json: bool,
}

/// Why nothing came of a question.
enum Trouble {
    /// Nobody answered, or not in time.
    Unreachable(String),
    /// The server said no: its problem.
    Refused(StatusCode, Value),
}

/// The server of the settings, or of the last `midwatch login`. `None`: there is neither.
pub(super) fn server(
    settings: &Settings,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Option<Server>> {
    let kept = kept_login(environment)?;
    let url = settings
        .server
        .clone()
        .or(kept.as_ref().map(|it| it.0.clone()));
    let Some(url) = url else { return Ok(None) };
    // A token goes to the server that it was kept for, and to no other.
    let kept = kept.filter(|(known, _)| *known == url).map(|it| it.1);
    let Some(token) = settings.token.clone().or(kept) else {
        anyhow::bail!(
            "there is no token for {url}; set MIDWATCH_TOKEN, or type: midwatch login {url}"
        );
    };
    Ok(Some(Server::new(url, token)?))
}

/// Keeps a token for this server, once the server takes it.
pub(super) async fn login(
    url: &str,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Exit> {
    let url = url.trim_end_matches('/').to_owned();
    if let Err(why) = check_url(&url) {
        say_error(&format!("{url} {why}"));
        return Ok(Exit::Invalid);
    }
    let Some(path) = login_file(environment) else {
        say_error(
            "neither XDG_CONFIG_HOME nor HOME says where a login is kept; set MIDWATCH_SERVER and MIDWATCH_TOKEN",
        );
        return Ok(Exit::Invalid);
    };
    if std::io::stdin().is_terminal() {
        say_error(
            "paste a token and press return; `midwatch token add PERSON` makes one, at the server's host",
        );
    }
    let mut token = String::new();
    std::io::stdin().lock().read_line(&mut token)?;
    let server = Server::new(url.clone(), SecretString::from(token.trim()))?;
    match server
        .ask(server.client.get(format!("{url}/api/v1/projects")))
        .await
    {
        Err(trouble) => return Ok(trouble.tell(&url)),
        Ok(_) => keep(&path, &url, token.trim())?,
    }
    say(&format!(
        "logged in: `midwatch run` asks {url} from here on; the token is kept in {}",
        path.display()
    ));
    Ok(Exit::Done)
}

/// Runs it there, and tells what happens until it has ended.
pub(super) async fn run(server: &Server, wanted: &Wanted<'_>) -> anyhow::Result<Exit> {
    let url = &server.url;
    let mut body = json!({ "says": wanted.says });
    if let Some(project) = wanted.project {
        body["project"] = json!(project);
    }
    // The same key however often it is asked: an answer that got lost begins nothing twice.
    let key = uuid::Uuid::new_v4().to_string();
    let mut tries = 0;
    let begun = loop {
        let request = server.client.post(format!("{url}/api/v1/runs"));
        let request = request.header("idempotency-key", &key).json(&body);
        match server.ask(request).await {
            Ok(begun) => break begun,
            Err(Trouble::Unreachable(_)) if tries < 2 => tries += 1,
            Err(trouble) => return Ok(trouble.tell(url)),
        }
    };
    let Some(id) = begun["id"].as_str().map(str::to_owned) else {
        anyhow::bail!("{url} answered something that is no run; is it a midwatch of this version?");
    };
    if !wanted.json {
        say(&headline(&begun));
    }
    let run = match server.follow(&id, wanted.json).await {
        Ok(run) => run,
        Err(trouble) => return Ok(trouble.tell(url)),
    };
    if wanted.json {
        say(&run.to_string());
    } else {
        say(&headline(&run));
    }
    Ok(if run["outcome"] == "succeeded" {
        Exit::Done
    } else {
        Exit::Failed
    })
}

impl Server {
    fn new(url: String, token: SecretString) -> anyhow::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENT_FOR)
            // A token goes to no other host.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { url, token, client })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Trouble> {
        let request = request.bearer_auth(self.token.expose_secret());
        let sent = tokio::time::timeout(ANSWER_WITHIN, request.send()).await;
        let answer = match sent {
            Err(_) => return Err(Trouble::Unreachable("it does not answer".to_owned())),
            Ok(Err(why)) => return Err(Trouble::Unreachable(in_short(&why))),
            Ok(Ok(answer)) => answer,
        };
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let problem = answer.json().await.unwrap_or_default();
        Err(Trouble::Refused(status, problem))
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Value, Trouble> {
        let answer = self.send(request).await?;
        let value = answer.json().await;
        value.map_err(|why| Trouble::Unreachable(in_short(&why)))
    }

    /// Tells the run's events until it has ended; answers the run then.
    async fn follow(&self, id: &str, as_json: bool) -> Result<Value, Trouble> {
        let address = format!("{}/api/v1/run/{id}", self.url);
        let (mut last, mut failed) = (None, 0);
        loop {
            let events = self.tell_events(&address, &mut last, as_json).await;
            let looked = match events {
                Ok(()) => self.ask(self.client.get(&address)).await,
                Err(trouble) => Err(trouble),
            };
            match looked {
                Ok(run) if !run["outcome"].is_null() => return Ok(run),
                Ok(_) => failed = 0,
                // Nothing is decided yet: the run comes.
                Err(Trouble::Refused(StatusCode::NOT_FOUND, _) | Trouble::Unreachable(_))
                    if failed < TRIES =>
                {
                    failed += 1;
                }
                Err(Trouble::Refused(status, _))
                    if failed < TRIES
                        && (status == StatusCode::TOO_MANY_REQUESTS
                            || status.is_server_error()) =>
                {
                    failed += 1;
                }
                Err(trouble) => return Err(trouble),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Tells what comes, until the server has no more for now.
    async fn tell_events(
        &self,
        address: &str,
        last: &mut Option<String>,
        as_json: bool,
    ) -> Result<(), Trouble> {
        let mut request = self.client.get(format!("{address}/events"));
        if let Some(last) = last {
            request = request.header("last-event-id", last.as_str());
        }
        let mut bytes = self.send(request).await?.bytes_stream();
        let mut kept: Vec<u8> = Vec::new();
        while let Some(more) = bytes.next().await {
            // One that breaks off is asked for again, from the last event on.
            let Ok(more) = more else { return Ok(()) };
            kept.extend_from_slice(&more);
            while let Some(end) = kept.windows(2).position(|it| it == b"\n\n") {
                let event: Vec<u8> = kept.drain(..end + 2).collect();
                tell_event(&String::from_utf8_lossy(&event), last, as_json);
            }
            if kept.len() > LONGEST_EVENT {
                let why = "it sends an event without an end".to_owned();
                return Err(Trouble::Unreachable(why));
            }
        }
        Ok(())
    }
}

fn tell_event(event: &str, last: &mut Option<String>, as_json: bool) {
    let field = |name: &str| {
        let mut lines = event.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let Some(data) = field("data") else { return };
    *last = field("id").map(str::to_owned).or(last.take());
    if as_json {
        say(data);
        return;
    }
    let said: Value = serde_json::from_str(data).unwrap_or_default();
    if let Some(line) = said["line"].as_str() {
        // Marks around names are for those who take words apart.
        let line = line.replace('`', "").replace('\n', "\n    ");
        say(&format!("  {line}"));
    }
}

/// The first line of the run: what is true now.
fn headline(run: &Value) -> String {
    let text = |key: &str| run[key].as_str().unwrap_or_default();
    if run["task"].is_null() {
        return format!("⏳ waiting for a decision on run {}", text("id"));
    }
    let what = match run["environment"].as_str() {
        Some(environment) => format!("{} {environment}", text("task")),
        None => text("task").to_owned(),
    };
    let (mark, state) = match (text("outcome"), text("phase")) {
        ("succeeded", _) => ("✅", "succeeded; nothing is left to do"),
        ("needs_attention", _) => (
            "❓",
            "ended with an unknown outcome; look at it, then settle it in chat",
        ),
        ("failed", _) => ("❌", "failed; look at the lines above"),
        ("cancelled", _) => ("🚫", "was cancelled"),
        ("expired", _) => ("⌛", "expired: nobody consented in time"),
        (_, "awaiting_approval") => ("⏸", "waits for consent; this goes on when it is given"),
        _ => ("▸", "begins"),
    };
    format!("{mark} {what} {state} · ref {}", text("reference"))
}

impl Trouble {
    /// Says it to the person at the terminal, with what to do next.
    fn tell(&self, url: &str) -> Exit {
        match self {
            Self::Unreachable(why) => {
                say_error(&format!(
                    "{url} can't be reached: {why}; see that it runs, and that this is its address. What began goes on there"
                ));
                Exit::Unreachable
            }
            Self::Refused(status, problem) => {
                let text = |key: &str| problem[key].as_str().map(str::to_owned);
                let detail = text("detail").unwrap_or_else(|| format!("it answered {status}"));
                let next = text("next").map(|next| format!("; {next}"));
                let rule = problem["rule"]["file"]
                    .as_str()
                    .map(|file| format!(" ({file}:{})", problem["rule"]["line"]));
                say_error(&format!(
                    "{detail}{}{}",
                    rule.unwrap_or_default(),
                    next.unwrap_or_default()
                ));
                Exit::Failed
            }
        }
    }
}

/// The innermost reason: the others only repeat the address.
fn in_short(why: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = why;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    reason.to_string()
}

fn login_file(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let named = |name: &str| {
        let value = environment.get(name).filter(|it| !it.is_empty());
        value.map(PathBuf::from)
    };
    let folder = named("XDG_CONFIG_HOME").or_else(|| Some(named("HOME")?.join(".config")))?;
    Some(folder.join("midwatch").join("login.json"))
}

/// Server and token of the last login.
fn kept_login(
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Option<(String, SecretString)>> {
    let Some(path) = login_file(environment) else {
        return Ok(None);
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(why) => anyhow::bail!("{}: {why}", path.display()),
    };
    let kept: Value = serde_json::from_str(&text).unwrap_or_default();
    match (kept["server"].as_str(), kept["token"].as_str()) {
        (Some(server), Some(token)) => Ok(Some((server.to_owned(), SecretString::from(token)))),
        _ => anyhow::bail!(
            "{} can't be read; remove it, and log in again",
            path.display()
        ),
    }
}

/// For this account alone.
fn keep(path: &std::path::Path, url: &str, token: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension("draft");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{}", json!({ "server": url, "token": token }))?;
    file.sync_all()?;
    fs::rename(draft, path)?;
    Ok(())
}
