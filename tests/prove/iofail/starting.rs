//! A start and a stop while the disk fails: it begins with a clear sentence or not at all, and leaves nothing half made.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::Instant;

use super::disk::{Disk, Library};
use super::{Place, Plan, Progress, Seen, says_why, told, yard};
use crate::bot::Home;

/// Until when a start has come to something, and a stop to its end: results that can't be recorded are kept for 20 s.
const END_WITHIN: Duration = Duration::from_secs(35);
/// Until when it is ready once the disk works.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// What a killed process left to do is done by then, so that a stop finds it at rest.
const REST: Duration = Duration::from_millis(700);

/// What all starts begin with.
pub(super) struct Starts {
    library: Arc<Library>,
    /// A data folder that a killed process left amid its work.
    left: TempDir,
    client: reqwest::Client,
    /// The ledger's entries in `left`.
    before: String,
}

impl Starts {
    pub(super) fn new(library: Arc<Library>, left: TempDir) -> Self {
        let home = yard::home(&[]);
        copy_files(left.path(), &home.path("data"));
        let (sound, export) = told(&home, &["ledger", "export"]);
        assert!(
            sound,
            "what a killed process left can't be exported: {export}"
        );
        let entries = export.lines().filter(|line| is_entry(line));
        Self {
            library,
            left,
            client: reqwest::Client::new(),
            before: entries.map(|line| format!("{line}\n")).collect(),
        }
    }

    /// How many calls a start makes on an empty folder, one on a folder that is in use, and a stop.
    pub(super) async fn rehearse(&self) -> (u64, u64, u64) {
        let count = async |place| {
            let (home, disk) = self.home(place, false);
            let bot = home.serve().await;
            let started = disk.calls();
            tokio::time::sleep(REST).await;
            let before = disk.calls();
            let stopped = block_in_place(|| bot.stop());
            assert!(stopped.success(), "midwatch did not stop as asked");
            (started, disk.calls() - before)
        };
        let ((first, _), (later, stop)) = (
            count(Place::FirstStart).await,
            count(Place::LaterStart).await,
        );
        (first, later, stop)
    }

    fn home(&self, place: Place, log: bool) -> (Home, Disk) {
        let home = yard::home(&["C1".to_owned()]);
        if place != Place::FirstStart {
            copy_files(self.left.path(), &home.path("data"));
        }
        Disk::below(home, &self.library, log)
    }

    /// Goes through these rounds, and tells what was seen.
    pub(super) async fn live_through(self, plans: Vec<Plan>, progress: Arc<Progress>) -> Vec<Seen> {
        let mut seen = Seen::default();
        for plan in plans {
            self.round(&plan, &mut seen).await;
            progress.step();
        }
        vec![seen]
    }

    async fn round(&self, plan: &Plan, seen: &mut Seen) {
        let (home, disk) = self.home(plan.place, plan.log);
        let mut start = Start::new(&home, &disk, &self.client, plan);
        if plan.place == Place::Stop {
            start.stop().await;
        } else {
            start.start().await;
        }
        let mut complaints = start.complaints;
        seen.unmet += usize::from(disk.failed() == 0);
        disk.heal();
        let bot = home.serve().await;
        if bot.ready_after > READY_WITHIN {
            complaints.push(format!(
                "afterwards it was ready after {:?}",
                bot.ready_after
            ));
        }
        if !block_in_place(|| bot.stop()).success() {
            complaints.push("afterwards it did not stop as it was asked to".to_owned());
        }
        complaints.extend(self.look(&home, plan.place));
        let told = complaints
            .into_iter()
            .map(|what| format!("{plan}: {what}; its log: {}", home.log()));
        seen.complaints.extend(told);
    }

    /// Ledger, key and drafts, after everything.
    fn look(&self, home: &Home, place: Place) -> Vec<String> {
        let mut complaints = Vec::new();
        let (sound, why) = told(home, &["ledger", "verify"]);
        if !sound {
            complaints.push(format!("the ledger does not verify: {why}"));
        }
        let data = home.path("data");
        for file in fs::read_dir(&data).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if Path::new(&name).extension().is_some_and(|it| it == "new") {
                complaints.push(format!("a draft was left: {name}"));
            }
        }
        let mode = fs::metadata(data.join("ledger.key")).map(|it| it.permissions().mode() & 0o777);
        if !matches!(mode, Ok(0o600)) {
            complaints.push(format!("the key's mode is {mode:?}"));
        }
        if place != Place::FirstStart {
            let (_, export) = told(home, &["ledger", "export"]);
            if !export.starts_with(&self.before) {
                complaints.push("entries that were there before are not there now".to_owned());
            }
            let key = |folder: &Path| fs::read(folder.join("ledger.key")).unwrap_or_default();
            if key(&data) != key(self.left.path()) {
                complaints.push("the key is another".to_owned());
            }
        }
        complaints
    }
}

/// One start on a disk that fails.
struct Start<'a> {
    home: &'a Home,
    disk: &'a Disk,
    client: &'a reqwest::Client,
    plan: &'a Plan,
    complaints: Vec<String>,
}

impl<'a> Start<'a> {
    fn new(home: &'a Home, disk: &'a Disk, client: &'a reqwest::Client, plan: &'a Plan) -> Self {
        Self {
            home,
            disk,
            client,
            plan,
            complaints: Vec::new(),
        }
    }

    fn fail(&self) {
        let calls = if self.plan.lasting { u64::MAX } else { 1 };
        self.disk.fail(self.plan.k, self.plan.trouble, calls);
    }

    async fn start(&mut self) {
        self.fail();
        let mut process = Process::start(self.home);
        let began = Instant::now();
        loop {
            if let Some(status) = process.ended() {
                return self.refused(status);
            }
            let answer = process.readiness(self.client).await;
            let troubled = self.plan.lasting && self.disk.failed() > 0;
            match answer {
                Some((503, why)) if troubled && says_why(&why) => break,
                Some((200, _)) if !troubled => break,
                _ if began.elapsed() > END_WITHIN => {
                    self.complaints
                        .push(format!("it neither ends nor serves: {answer:?}"));
                    break;
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        self.disk.heal();
        let healed = Instant::now();
        while !matches!(process.readiness(self.client).await, Some((200, _))) {
            if healed.elapsed() > READY_WITHIN {
                self.complaints
                    .push("it is not ready though the disk works again".to_owned());
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.end(&mut process).await;
    }

    async fn stop(&mut self) {
        let mut process = Process::start(self.home);
        let began = Instant::now();
        while !matches!(process.readiness(self.client).await, Some((200, _))) {
            assert!(began.elapsed() < END_WITHIN, "{}", self.home.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(REST).await;
        self.fail();
        self.end(&mut process).await;
    }

    /// Asks it to stop; it must do so by itself.
    async fn end(&mut self, process: &mut Process) {
        process.ask_to_stop();
        let asked = Instant::now();
        loop {
            match process.ended() {
                Some(status) if status.success() => return,
                Some(status) => {
                    return self.complaints.push(format!("asked to stop, {status}"));
                }
                None if asked.elapsed() > END_WITHIN => {
                    return self.complaints.push("it does not stop".to_owned());
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// It did not start: it must say why, which folder, and what to do.
    fn refused(&mut self, status: ExitStatus) {
        if self.disk.failed() == 0 {
            self.complaints
                .push(format!("nothing failed, and it ended: {status}"));
        }
        if status.code() != Some(1) {
            self.complaints.push(format!("it ended: {status}"));
        }
        let log = self.home.log();
        let said = log.lines().find(|line| line.starts_with("midwatch: "));
        let data = self.home.path("data").display().to_string();
        let clear = |said: &str| {
            says_why(said) && said.contains(&data) && said.contains("start midwatch again")
        };
        // A log on the same disk could not be written.
        if !said.is_some_and(clear) && !self.plan.log {
            self.complaints.push(format!("it only said: {said:?}"));
        }
    }
}

/// The program, which may end before it is ready.
struct Process {
    child: Child,
    ready: String,
}

impl Process {
    fn start(home: &Home) -> Self {
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.path("log"))
            .expect("a log file");
        let child = home
            .command(&["serve"])
            .env("MIDWATCH_LISTEN", address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("midwatch starts");
        Self {
            child,
            ready: format!("http://{address}/readyz"),
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    async fn readiness(&self, client: &reqwest::Client) -> Option<(u16, String)> {
        let answer = client
            .get(&self.ready)
            .timeout(Duration::from_secs(3))
            .send()
            .await
            .ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.unwrap_or_default()))
    }

    fn ask_to_stop(&self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid is not zero");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be asked");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It may have ended already.
        let _ = self.child.wait();
    }
}

fn is_entry(line: &str) -> bool {
    !line.starts_with("{\"checkpoint\"")
}

/// Copies what lies in a data folder, but for what supervisors of steps have in folders of their own.
pub(super) fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for file in fs::read_dir(from).expect("a data folder") {
        let file = file.expect("a file");
        if file.file_type().expect("a type").is_file() {
            // With its mode.
            fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
        }
    }
}
