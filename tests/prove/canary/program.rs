//! The real program with secrets in its environment and in files: steps that print them, fail with them, are killed while
//! they print; servers that give them back. Then everything that left it is looked at, byte for byte.

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use midwatch::domain::{InboundKey, Platform, RunId};
use midwatch::store::{Store, StoreSettings};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use super::encodings::{CUTS, ENCODINGS, cut};
use super::secrets::Secret;
use super::server;
use super::sieve::Sieve;
use crate::bot::Home;
use crate::cluster::Cluster;
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, SIGNING_SECRET};

/// Each leads secrets another way out.
const COMMANDS: [&str; 8] = [
    "say", "fail", "break", "plead", "refuse", "go", "spin", "lose",
];
/// How long the runs, and the telling of them, may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// What was looked at.
#[derive(Default)]
pub(super) struct Seen {
    runs: usize,
    messages: usize,
    bytes: usize,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs, {} messages in threads, {} kB of files, logs, metrics and answers of the command line searched",
            self.runs,
            self.messages,
            self.bytes / 1_000
        )
    }
}

/// Does all of it with these secrets; `nth` decides how the log is written, and on which engine.
pub(super) async fn prove(secrets: &[Secret], nth: usize, seen: &mut Seen) {
    let cluster = match nth % 2 {
        0 => None,
        _ => Cluster::start_new(),
    };
    let slack = FakeSlack::start().await;
    let lines: Vec<Line> = secrets
        .iter()
        .flat_map(|secret| COMMANDS.map(|command| Line::new(command, secret)))
        .collect();
    for line in &lines {
        slack.add_channel(&line.channel, true);
    }
    let mut home = home(secrets, nth, &slack, &lines);
    let url = match &cluster {
        Some(cluster) => cluster.database().await,
        None => format!("sqlite:{}", home.path("data/midwatch.db").display()),
    };
    home.set("DATABASE_URL", &url);
    let own = [BOT_TOKEN, SIGNING_SECRET].map(|value| Secret {
        name: "midwatch's own".to_owned(),
        value: value.to_owned(),
    });
    let look = Look {
        home: &home,
        sieve: Sieve::new(&[secrets, &own].concat()),
        secrets,
    };
    look.at_start();
    let bot = home.serve().await;
    // A secret may come later than midwatch.
    look.write_files();
    slack.use_http(&bot.url(""));
    let mut runs = Vec::new();
    for line in &lines {
        runs.push(line.type_in(&slack).await);
    }
    settle(&home, &url, &runs).await;

    for path in ["/metrics", "/readyz", "/healthz", "/"] {
        let text = reqwest::get(bot.url(path))
            .await
            .expect("it answers")
            .text()
            .await
            .expect("text");
        look.sieve.check(path, text.as_bytes());
        seen.bytes += text.len();
    }
    look.at_commands(&runs, seen);
    for line in &lines {
        for message in slack.messages(&line.channel) {
            let mut texts = vec![message.text];
            message
                .blocks
                .iter()
                .chain([&message.metadata])
                .for_each(|value| texts_of(value, &mut texts));
            texts.extend(
                message
                    .files
                    .into_iter()
                    .flat_map(|(name, text)| [name, text]),
            );
            look.sieve.check(
                &format!("a message in {}", line.channel),
                texts.join("\n").as_bytes(),
            );
            seen.messages += 1;
        }
    }
    look.at_files("while it runs", seen);
    if let Some(cluster) = &cluster {
        look.at_server(cluster, &url, seen).await;
    }
    assert!(
        bot.stop().success(),
        "midwatch did not stop as it was asked to"
    );
    look.at_files("after its end", seen);
    look.at_console(seen);
    seen.runs += runs.len();
}

/// One command that somebody types, in a channel and a workspace of its own: nobody waits for another's pace.
struct Line {
    text: String,
    channel: String,
}

impl Line {
    fn new(command: &str, secret: &Secret) -> Self {
        Self {
            text: format!("{command} which={}", secret.name),
            channel: format!("C{}{command}", secret.name).to_uppercase(),
        }
    }

    async fn type_in(&self, slack: &FakeSlack) -> RunId {
        let mut delivery = slack.slash_delivery("U0ANA", &self.channel, &self.text);
        let team = format!("T{}", self.channel);
        delivery.payload["team_id"] = team.as_str().into();
        let trigger = delivery.payload["trigger_id"]
            .as_str()
            .expect("it has one")
            .to_owned();
        let ack = slack.deliver(&delivery).await;
        assert_eq!((ack.status, ack.body.as_str()), (200, ""), "{}", self.text);
        RunId::of_inbound(&InboundKey::new(&["slack", &team, "command", &trigger]))
    }
}

fn home(secrets: &[Secret], nth: usize, slack: &FakeSlack, lines: &[Line]) -> Home {
    let server = server::start(nth as u64);
    let exe = std::env::current_exe().expect("this program has a path");
    let exe = exe
        .display()
        .to_string()
        .replace('{', "{{")
        .replace('}', "}}");
    let run = |part: &str| {
        format!(
            "run: [\"{exe}\", --as, utter, {part}, \"{{run.id}}\", \"{{which}}\"], environment: {{ SECRET: \"{{which}}\" }}, effect: once"
        )
    };
    let http = |path: &str, more: &str| {
        format!(
            "http: {{ post: \"http://{server}{path}\", json: {{ secret: \"{{which}}\" }}, headers: {{ x-plain: here }}, redirects: 2, {more} }}, effect: once"
        )
    };
    let steps = [
        vec![run("say")],
        vec![run("fail")],
        vec![run("break")],
        vec![
            http("/ok", "show: [x-echo, body]"),
            http("/late", "show: [body]"),
        ],
        vec![http(
            "/bad",
            "expect: { status: 200, headers: { x-echo: nothing }, body: nothing }",
        )],
        vec![http("/go", "show: []")],
        vec![http("/spin", "show: []")],
        vec![http("/cut", "show: [body]")],
    ];
    let mut files: Vec<(String, String)> = COMMANDS
        .iter()
        .zip(steps)
        .map(|(command, steps)| {
            let steps = steps.iter().enumerate().map(|(n, step)| format!("  - {{ name: step{n}, {step} }}\n"));
            let text = format!(
                "command: {command}\ndoes: Lets a secret out.\nrisk: low\nundo: none\nparameters:\n  which: {{ type: secret }}\nsteps:\n{}",
                steps.collect::<String>()
            );
            (format!("commands/{command}.yaml"), text)
        })
        .collect();
    let channels: Vec<&str> = lines.iter().map(|line| line.channel.as_str()).collect();
    files.push((
        "runbooks/shop.yaml".to_owned(),
        format!(
            "project: shop\nabout: The proof's own.\nowner: all\nchannels: [{}]\nenvironments: {{ here: {{}} }}\nrules:\n  - {{ may: [{}], who: all }}\n  - otherwise: ask ana\nescalation:\n  - {{ at: 0m, call: \"@ana\" }}\n",
            channels.join(", "),
            COMMANDS.join(", ")
        ),
    ));
    files.push((
        "runbooks/people.yaml".to_owned(),
        "people:\n  ana: { name: Ana, slack: U0ANA }\ngroups:\n  all: [ana]\n".to_owned(),
    ));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let home = Home::of_files(&files);
    let folder = home.path("secrets");
    std::fs::create_dir(&folder).expect("a folder");
    let mut home = home
        .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url())
        .setting("MIDWATCH_SECRETS", folder.display())
        .setting("MIDWATCH_LOG", "trace")
        .setting("MIDWATCH_LOG_FORMAT", ["text", "json"][nth % 2]);
    for secret in secrets.iter().filter(|secret| in_environment(secret)) {
        home = home.setting(&variable(secret), &secret.value);
    }
    home
}

fn in_environment(secret: &Secret) -> bool {
    !secret.name.ends_with(['1', '4', '7'])
}

fn variable(secret: &Secret) -> String {
    format!("MIDWATCH_SECRET_{}", secret.name.to_uppercase())
}

/// Waits until every run has ended and everything was told.
async fn settle(home: &Home, url: &str, runs: &[RunId]) {
    let settings = StoreSettings {
        url: url.to_owned(),
        data: home.path("data"),
    };
    let store = Store::open_read_only(&settings)
        .await
        .expect("the store can be read");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut waiting = 0;
        for run in runs {
            let run = store.run(*run).await.expect("the store can be read");
            waiting += usize::from(run.is_none_or(|run| run.finished_at.is_none()));
        }
        let owed = store
            .postings_waiting(Platform::Slack)
            .await
            .expect("the store can be read");
        if waiting == 0 && owed == 0 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{waiting} runs go on, {owed} postings wait: {}",
            home.log()
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Looks at what left the program.
struct Look<'a> {
    home: &'a Home,
    sieve: Sieve,
    secrets: &'a [Secret],
}

impl Look<'_> {
    fn write_files(&self) {
        for secret in self.secrets.iter().filter(|secret| !in_environment(secret)) {
            self.home.write(
                &format!("secrets/{}", secret.name),
                &format!("{}\n", secret.value),
            );
        }
    }

    /// Starts that can not succeed: a token, a password, a line of the settings, each not as it should be.
    fn at_start(&self) {
        for secret in self.secrets {
            let one_line = secret.value.replace(['\n', '\r'], "");
            self.home.write("wrong.env", &format!("MIDWATCH_SECRET_X: {one_line}\n{one_line}\nSLACK_BOT_TOKEN=\"{one_line}\"\nX_{one_line}=1\n"));
            let wrong = self.home.path("wrong.env").display().to_string();
            let password: String =
                url::form_urlencoded::byte_serialize(one_line.as_bytes()).collect();
            for (name, value) in [
                ("SLACK_BOT_TOKEN", one_line.clone()),
                ("SLACK_APP_TOKEN", one_line.clone()),
                (
                    "DATABASE_URL",
                    format!("postgres://ana:{password}@127.0.0.1:1/none"),
                ),
                (
                    "DATABASE_URL",
                    format!("mysql://ana:{password}@127.0.0.1:1/none"),
                ),
                ("MIDWATCH_CONFIG", wrong),
            ] {
                let mut command = self.home.command(&["serve"]);
                command
                    .env(name, value)
                    .env("MIDWATCH_LISTEN", "127.0.0.1:1");
                let said = command.output().expect("it starts");
                let place = format!("`serve` with a wrong {name}");
                self.sieve
                    .check(&place, &[said.stdout, said.stderr].concat());
            }
        }
    }

    /// What the command line answers, beside the running program.
    fn at_commands(&self, runs: &[RunId], seen: &mut Seen) {
        let export = self.answer(&["ledger", "export"], seen);
        assert!(
            export.lines().count() > runs.len() * 3,
            "hardly anything is in the ledger"
        );
        for arguments in [&["doctor"][..], &["check"], &["ledger", "verify"]] {
            self.answer(arguments, seen);
        }
        for run in runs.iter().step_by(5) {
            self.answer(&["why", run.reference(4).as_str()], seen);
        }
    }

    fn answer(&self, arguments: &[&str], seen: &mut Seen) -> String {
        let said = self.home.run(arguments, "");
        let bytes = [said.stdout, said.stderr].concat();
        self.sieve.check(&format!("{arguments:?}"), &bytes);
        seen.bytes += bytes.len();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The console: live output on a terminal, everything in one process.
    fn at_console(&self, seen: &mut Seen) {
        let mut typed = "/as ana\n".to_owned();
        for secret in self.secrets.iter().step_by(3) {
            typed.extend(COMMANDS.map(|command| format!("/ops {command} which={}\n", secret.name)));
        }
        typed.push_str("/ops runs\n/ops list\n");
        let said = self.home.run(&["try"], &typed);
        let bytes = [said.stdout, said.stderr].concat();
        let shown = String::from_utf8_lossy(&bytes);
        assert!(
            shown.contains("[redacted]"),
            "the console shows nothing: {shown}"
        );
        self.sieve.check("the console", &bytes);
        seen.bytes += bytes.len();
    }

    /// Every row of PostgreSQL, and its files, which hold long ones compressed and the old ones still.
    async fn at_server(&self, cluster: &Cluster, url: &str, seen: &mut Seen) {
        let mut database = PgConnection::connect(url).await.expect("it lets us in");
        let tables =
            "select table_name::text from information_schema.tables where table_schema = 'public'";
        let tables: Vec<String> = sqlx::query_scalar(tables)
            .fetch_all(&mut database)
            .await
            .expect("there are tables");
        let mut count = 0;
        for table in tables {
            let rows = sqlx::AssertSqlSafe(format!("select row_to_json(it)::text from {table} it"));
            let rows: Vec<String> = sqlx::query_scalar(rows)
                .fetch_all(&mut database)
                .await
                .expect("its rows");
            count += rows.len();
            for row in rows {
                self.sieve
                    .check(&format!("the table {table}"), row.as_bytes());
                seen.bytes += row.len();
            }
        }
        assert!(count > self.secrets.len(), "hardly any rows: {count}");
        let mut files = Vec::new();
        for folder in ["base", "pg_wal"] {
            collect(&cluster.data().join(folder), &mut files);
        }
        self.at_each(files, "of the server", seen);
    }

    /// Every file that it wrote, its log included.
    fn at_files(&self, when: &str, seen: &mut Seen) {
        let mut files = vec![self.home.path("log")];
        collect(&self.home.path("data"), &mut files);
        self.at_each(files, when, seen);
    }

    fn at_each(&self, files: Vec<PathBuf>, when: &str, seen: &mut Seen) {
        assert!(files.len() > 2, "no files: {files:?}");
        for file in files {
            let bytes = std::fs::read(&file).unwrap_or_default();
            self.sieve
                .check(&format!("{} {when}", file.display()), &bytes);
            seen.bytes += bytes.len();
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// All texts in a JSON value.
fn texts_of(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts_of(item, texts)),
        Value::Object(map) => map.values().for_each(|item| texts_of(item, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The program's part: lets out what it was given as an argument and in its environment.
#[expect(clippy::print_stderr, reason = "what it prints is what is looked at")]
pub(crate) fn utter(arguments: &[OsString]) {
    let text = |n: usize| arguments[n].to_str().expect("it is text").to_owned();
    let (part, run, secret) = (text(0), text(1), text(2));
    let environment = midwatch::config::environment();
    assert_eq!(
        environment.get("SECRET"),
        Some(&secret),
        "both hold the same"
    );
    let seed = run.bytes().fold(7_u64, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(byte.into())
    });
    let mut random = StdRng::seed_from_u64(seed);
    let mut out = std::io::stdout();
    for (_, encode) in ENCODINGS {
        for way in 0..CUTS.len() {
            let form = encode(&secret, &mut random);
            for chunk in cut(way, &form, &mut random)
                .into_iter()
                .chain([b".\n".to_vec()])
            {
                out.write_all(&chunk)
                    .and_then(|()| out.flush())
                    .expect("it is read");
                // A little later the next chunk is a chunk of its own.
                std::thread::sleep(Duration::from_micros(60));
            }
        }
    }
    match part.as_str() {
        "say" => {}
        "fail" => {
            eprintln!("it failed with {secret}");
            std::process::exit(3);
        }
        _ => {
            // Killed in the middle of it.
            let half = secret.len() / 2;
            out.write_all(&secret.as_bytes()[..half])
                .and_then(|()| out.flush())
                .expect("it is read");
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).expect("we may");
        }
    }
}
