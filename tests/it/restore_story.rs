//! A restore to an older state: a backup is taken as the documentation says, work goes on, the database is put back, and
//! everything that was said since is said again. Nothing that was done is done twice, and people settle the rest.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::bad_day::{PEOPLE, connected, facts, serve, told};
use crate::bot::{Bot, Home};
use crate::cluster::{self, Cluster, as_nobody};
use crate::fakes::slack::{BOT_USER, Delivery, FakeSlack, Posted, render};

/// All of it is in one workspace, in which 44 edits a minute are made.
const SOON: Duration = Duration::from_secs(120);
/// What is said in a thread that goes on.
const SET_BACK: &str = "was set back to an older state";
const CHECKPOINT: &str = "\n— midwatch/";

/// Commands, each with a channel of its own, its effect, and what its step does after its mark.
const COMMANDS: [(&str, &str, &str, &str); 8] = [
    ("before", "C10", "once", "0"),
    ("open", "C11", "once", "4"),
    ("asked", "C12", "once", "0"),
    ("gone", "C13", "once", "0"),
    ("more", "C14", "once", "0"),
    ("tidy", "C16", "idempotent", "0"),
    ("send", "C17", "keyed", "0"),
    ("place", "C18", "checked", "0"),
];
/// Where somebody typed something that is too old to be done without a fresh press.
const LATE: &str = "C19";

/// One write to a file opened for appending: the command, and the key that a target would see.
const MARK: &str = "echo \"$1 $2\" >> marks\nexec sleep \"$3\"\n";

fn home(slack: &FakeSlack) -> Home {
    let channels: Vec<&str> = COMMANDS.iter().map(|(_, channel, ..)| *channel).collect();
    for channel in channels.iter().chain([&LATE]) {
        slack.add_channel(channel, true);
    }
    let people = PEOPLE.replace("crew: [ann]", "crew: [ann, ben]");
    let book = format!(
        "project: lab\nabout: A laboratory.\nowner: crew\nchannels: [{}, {LATE}]\nenvironments: {{ one: {{}} }}\nrules:\n\
         \x20 - {{ may: asked, who: crew, after: {{ approvals: 1, of: crew, within: 15m }} }}\n\
         \x20 - {{ may: everything, who: crew }}\n  - otherwise: ask Ann\n\
         escalation:\n  - {{ at: 0m, call: crew }}\n",
        channels.join(", ")
    );
    let home = Home::of_files(&[
        ("runbooks/people.yaml", &people),
        ("runbooks/lab.yaml", &book),
        ("mark.sh", MARK),
    ]);
    for (name, _, effect, seconds) in COMMANDS {
        let verify = if effect == "checked" {
            format!(", verify: {{ run: [grep, -q, \"^{name} \", marks] }}")
        } else {
            String::new()
        };
        let text = format!(
            "command: {name}\ndoes: Leaves a mark.\nrisk: low\nundo: none\nsteps:\n\
             \x20 - {{ name: mark, run: [sh, mark.sh, {name}, \"{{run.key}}\", \"{seconds}\"], effect: {effect}{verify} }}\n"
        );
        home.write(&format!("commands/{name}.yaml"), &text);
    }
    connected(home, slack)
}

/// Which engine, and how an administrator backs it up.
enum Database {
    Sqlite,
    Postgres(&'static Cluster, String),
}

impl Database {
    async fn postgres() -> Option<Self> {
        let cluster = cluster::shared()?;
        let url = cluster.database().await;
        let name = url.rsplit('/').next().unwrap().to_owned();
        Some(Self::Postgres(cluster, name))
    }

    /// While midwatch runs: the database, and the files beside it.
    async fn back_up(&self, home: &Home) {
        std::fs::create_dir(home.path("backup")).unwrap();
        match self {
            Self::Sqlite => {
                let file = SqliteConnectOptions::new().filename(home.path("data/midwatch.db"));
                let mut db = SqliteConnection::connect_with(&file).await.unwrap();
                let copy = home.path("backup/midwatch.db").display().to_string();
                let copied = sqlx::query("vacuum into $1").bind(copy).execute(&mut db);
                copied.await.unwrap();
                db.close().await.unwrap();
            }
            Self::Postgres(cluster, name) => {
                let dump = as_nobody("pg_dump")
                    .arg(cluster.url(name))
                    .output()
                    .unwrap();
                assert!(dump.status.success(), "{}", text(&dump.stderr));
                std::fs::write(home.path("backup/dump.sql"), dump.stdout).unwrap();
            }
        }
        copy_files(home, "data", "backup");
    }

    /// While midwatch is stopped.
    async fn put_back(&self, home: &Home) {
        match self {
            Self::Sqlite => {
                for name in ["midwatch.db", "midwatch.db-wal", "midwatch.db-shm"] {
                    let _ = std::fs::remove_file(home.path(&format!("data/{name}"))); // Usually only the first is there.
                }
                let backup = home.path("backup/midwatch.db");
                std::fs::copy(backup, home.path("data/midwatch.db")).unwrap();
            }
            Self::Postgres(cluster, name) => {
                cluster
                    .administer(&format!("drop database {name} with (force)"))
                    .await;
                cluster.administer(&format!("create database {name}")).await;
                let mut psql = as_nobody("psql")
                    .args(["--quiet", "--set", "ON_ERROR_STOP=1", "--dbname"])
                    .arg(cluster.url(name))
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap();
                let dump = std::fs::read(home.path("backup/dump.sql")).unwrap();
                psql.stdin.take().unwrap().write_all(&dump).unwrap();
                assert!(psql.wait().unwrap().success(), "the dump can be put back");
            }
        }
    }
}

/// What is in `MIDWATCH_DATA` beside the database, but for `steps`.
fn copy_files(home: &Home, from: &str, to: &str) {
    for name in ["ledger.key", "ledger.pub", "checkpoint"] {
        let from = home.path(&format!("{from}/{name}"));
        std::fs::copy(from, home.path(&format!("{to}/{name}"))).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Who knows that the database was put back: with the data folder of before, only the threads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folder {
    Newer,
    Older,
}

struct Story {
    slack: FakeSlack,
    home: Home,
    said: HashMap<&'static str, Delivery>,
    /// The database was put back.
    restored: bool,
}

impl Story {
    fn channel(command: &str) -> &'static str {
        let all = COMMANDS.iter();
        all.clone().find(|(name, ..)| *name == command).unwrap().1
    }

    /// Ann mentions the bot in the command's channel.
    async fn says(&mut self, command: &'static str) {
        let channel = Self::channel(command);
        let delivery = self.slack.mention_delivery("U1", channel, command);
        assert_eq!(self.slack.deliver(&delivery).await.status, 200);
        self.said.insert(command, delivery);
    }

    /// The thread of the command's run, once its root has these words, and these stand in it so many times: since it was
    /// told that the database was set back, where it was.
    async fn thread(&self, command: &str, root: &str, told: (&str, usize)) -> (Posted, String) {
        let channel = Self::channel(command);
        let what = format!("`{command}` with `{root}` and {told:?}");
        let goes_on = self.restored && command != "before";
        let look = |slack: &FakeSlack| {
            let messages = slack.messages(channel);
            let roots: Vec<&Posted> = messages
                .iter()
                .filter(|it| it.user == BOT_USER && it.thread.is_none())
                .collect();
            assert!(roots.len() <= 1, "two threads: {roots:?}");
            let thread = slack.thread(channel, &roots.first()?.ts);
            let text = thread.join("\n");
            let since = if goes_on {
                text.rsplit_once(SET_BACK)?.1
            } else {
                &text
            };
            let fits = thread[0].contains(root) && since.matches(told.0).count() == told.1;
            fits.then(|| (roots[0].clone(), text))
        };
        self.slack.wait_for(&what, SOON, look).await
    }

    /// The thread, once its run has ended well, and so many times in all.
    async fn ends(&self, command: &str, times: usize) -> String {
        let thread = self.thread(command, "succeeded", (CHECKPOINT, times));
        thread.await.1
    }

    /// Keys of the marks of a command.
    fn marks(&self, command: &str) -> Vec<String> {
        let marks = std::fs::read_to_string(self.home.path("marks")).unwrap_or_default();
        let lines = marks.lines().filter_map(|line| line.split_once(' '));
        let mine = lines.filter(|(name, _)| *name == command);
        mine.map(|(_, key)| key.to_owned()).collect()
    }

    async fn is_marked(&self, command: &str) {
        for _ in 0..600 {
            if !self.marks(command).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("`{command}` did not begin: {}", self.home.log());
    }

    /// What happened up to the moment at which the database is put back.
    async fn before(&mut self, database: &Database) {
        self.says("before").await;
        self.ends("before", 1).await;
        self.says("open").await;
        self.says("asked").await;
        self.is_marked("open").await;
        let (asked, _) = self.thread("asked", "[Approve]", ("asked for", 1)).await;
        database.back_up(&self.home).await;

        self.slack.click("U2", &asked, "Approve").await;
        for command in ["gone", "more", "tidy", "send", "place"] {
            self.says(command).await;
        }
        // No longer than needed: what is a minute old is not done again in any case.
        for (command, ..) in COMMANDS {
            self.is_marked(command).await;
            self.thread(command, "", ("asked for", 1)).await;
        }
    }

    /// The note in the last line of a thread.
    fn checkpoint(thread: &str) -> String {
        let (_, note) = thread.rsplit_once("```\nmidwatch/").unwrap();
        format!("midwatch/{}\n", note.split_once("\n```").unwrap().0)
    }

    fn verify(&self, witness: Option<&str>) -> (Option<i32>, String) {
        let mut arguments = vec!["ledger", "verify"];
        let file = self.home.path("witness").display().to_string();
        if let Some(note) = witness {
            self.home.write("witness", note);
            arguments.extend(["--checkpoint", &file]);
        }
        let verified = told(&self.home, &arguments);
        (verified.code, verified.out + &verified.err)
    }

    async fn finds_out(&self) -> String {
        for _ in 0..300 {
            let facts = facts(&self.home);
            let set_back = facts.iter().find(|it| it["kind"] == "set_back");
            if let Some(why) = set_back.and_then(|it| it["why"].as_str()) {
                return why.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("it is not found out: {}", self.home.log());
    }

    async fn told_again(&self) {
        for delivery in self.said.values() {
            assert_eq!(self.slack.deliver(delivery).await.status, 200);
        }
    }

    /// A person says what happened, or wants it again.
    async fn settles(&self, root: &Posted, verdict: &str) {
        let text = render(root);
        let (_, after) = text.split_once("ref ").unwrap();
        let reference: String = after
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let says = format!("settle {reference} {verdict}");
        assert_eq!(
            self.slack.slash("U1", &root.channel, &says).await.status,
            200
        );
    }
}

async fn tell(database: Database, folder: Folder) {
    let slack = FakeSlack::start().await;
    slack.let_read_fast();
    let mut home = home(&slack);
    if let Database::Postgres(cluster, name) = &database {
        home.set("DATABASE_URL", cluster.url(name));
    }
    let bot = serve(&home, &slack).await;
    let mut story = Story {
        slack: slack.clone(),
        home,
        said: HashMap::new(),
        restored: false,
    };
    story.before(&database).await;
    let (_, gone) = story.thread("gone", "", (CHECKPOINT, 1)).await;
    let witness = Story::checkpoint(&gone);
    assert_eq!(
        story.verify(Some(&witness)).0,
        Some(0),
        "it fits as long as nothing is lost"
    );
    assert!(bot.stop().success());

    database.put_back(&story.home).await;
    story.restored = true;
    if folder == Folder::Older {
        copy_files(&story.home, "backup", "data");
    }
    slack.wrote_before(Duration::from_secs(200), "U1", LATE, None, "<@UBOT> more");
    let bot = serve(&story.home, &slack).await;
    let why = story.finds_out().await;
    let known_by = match folder {
        Folder::Newer => "the sealed checkpoint over",
        Folder::Older => "has a thread and is not in the database",
    };
    assert!(why.contains(known_by), "{why}");
    story.told_again().await;
    afterwards(&story, &witness, bot).await;
}

async fn afterwards(story: &Story, witness: &str, bot: Bot) {
    let slack = &story.slack;
    // What had ended is as it was. What was open, and what nobody remembers but its thread, waits for a person.
    story.ends("before", 1).await;
    let doubt = ("may have run in what the database lost", 1);
    let (gone, _) = story.thread("gone", "needs attention", doubt).await;
    let (more, _) = story.thread("more", "needs attention", doubt).await;
    // With the older folder this one came into doubt before midwatch knew of the rest.
    let (open, _) = story
        .thread("open", "needs attention", ("asked for", 0))
        .await;
    // What may be done again is; what can say whether it was done is asked.
    for command in ["tidy", "send", "place"] {
        story.ends(command, 1).await;
    }
    let (asked, _) = story.thread("asked", "[Approve]", ("asked for", 0)).await;
    slack.click("U2", &asked, "Approve").await;
    story.thread("asked", "needs attention", doubt).await;

    for (command, _, effect, _) in COMMANDS {
        let mut keys = story.marks(command);
        let times = keys.len();
        let expected = if ["once", "checked"].contains(&effect) {
            1
        } else {
            2
        };
        assert_eq!(times, expected, "`{command}` ({effect})");
        keys.dedup();
        assert_eq!(
            keys.len(),
            1,
            "`{command}`: the same run has the same key: {keys:?}"
        );
    }
    let late = slack.wait_for("late answer", SOON, |slack| {
        let messages = slack.messages(LATE);
        messages
            .iter()
            .map(render)
            .find(|it| it.contains("[Run it now]"))
    });
    let late = late.await;
    assert!(
        late.contains("it may have run already; nothing was done again"),
        "{late}"
    );

    story.settles(&gone, "happened").await;
    story.ends("gone", 2).await;
    story.settles(&open, "did-not").await;
    story
        .thread("open", "failed", ("says that it did not happen", 1))
        .await;
    story.settles(&more, "again").await;
    story.ends("more", 2).await;
    assert_eq!(story.marks("more").len(), 2, "a person wanted it again");
    assert_eq!(
        (story.marks("gone").len(), story.marks("open").len()),
        (1, 1)
    );

    assert!(bot.stop().success());
    let (code, said) = story.verify(None);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = story.verify(Some(witness));
    assert_eq!(code, Some(1), "{said}");
    let names = said.contains("signed entries that are not in it any more: it was set back");
    assert!(names, "{said}");
    let found = facts(&story.home);
    let set_backs = found.iter().filter(|it| it["kind"] == "set_back").count();
    assert_eq!(set_backs, 1, "found out once");
    assert_eq!(slack.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_twice_after_sqlite_was_set_back() {
    tell(Database::Sqlite, Folder::Newer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_twice_after_sqlite_and_the_data_folder_were_set_back() {
    tell(Database::Sqlite, Folder::Older).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_twice_after_postgresql_was_set_back() {
    if let Some(database) = Database::postgres().await {
        tell(database, Folder::Newer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_twice_after_postgresql_and_the_data_folder_were_set_back() {
    if let Some(database) = Database::postgres().await {
        tell(database, Folder::Older).await;
    }
}
