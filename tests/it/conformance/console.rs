//! The console: `midwatch try`, one command a line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use async_trait::async_trait;

use super::{Cant, Done, Stage, Who};
use crate::bot::Home;

const ONE_PLACE: Cant = Cant(
    "a terminal is one place: no channel, no mention and no thread beside it (docs of `midwatch try`)",
);
const LINES: Cant = Cant(
    "a terminal shows lines one after the other: it edits none, has no button and opens no form; it says what to type",
);
const ONE_READER: Cant =
    Cant("a terminal has one reader, who is not called away from elsewhere: it pings nobody");
const ONCE: Cant = Cant("a terminal delivers what is typed once, and asks nobody how fast");
const TAB: Cant = Cant(
    "completion needs a terminal, and tests have none: `cargo test --lib complete` shows what is offered",
);

pub(super) fn begin() -> Console {
    let home = Home::shipped();
    let mut child = home
        .command(&["try"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("midwatch starts");
    let (typed, printed) = (
        child.stdin.take().expect("piped"),
        child.stdout.take().expect("piped"),
    );
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(printed).lines().map_while(Result::ok) {
            kept.lock().expect("no panic").push(line);
        }
    });
    Console {
        home,
        child,
        typed,
        lines,
        answered: 0,
    }
}

pub(super) struct Console {
    home: Home,
    child: Child,
    typed: ChildStdin,
    lines: Arc<Mutex<Vec<String>>>,
    /// How many lines there were when something was typed last.
    answered: usize,
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[async_trait]
impl Stage for Console {
    async fn command(&mut self, who: Who, text: &str) -> Done {
        let who = match who {
            Who::Ana => "ana",
            Who::Cy => "cy",
            Who::Bo => "bo",
            Who::Eve => "eve",
            Who::Stranger => return Err(Cant("the console plays people of people.yaml only")),
        };
        self.answered = self.lines.lock().expect("no panic").len();
        writeln!(self.typed, "/as {who}\n/ops {text}").expect("midwatch reads");
        self.typed.flush().expect("midwatch reads");
        Ok(())
    }

    async fn mention(&mut self, _: Who, _: &str) -> Done {
        Err(ONE_PLACE)
    }

    async fn direct(&mut self, _: Who, _: &str) -> Done {
        Err(ONE_PLACE)
    }

    async fn in_thread(&mut self, _: Who, _: &str) -> Done {
        Err(ONE_PLACE)
    }

    async fn edited(&mut self, _: Who, _: &str) -> Done {
        Err(LINES)
    }

    async fn by_bot(&mut self, _: &str) -> Done {
        Err(ONE_PLACE)
    }

    async fn twenty_times(&mut self, _: Who, _: &str) -> Done {
        Err(ONCE)
    }

    async fn press(&mut self, _: Who, _: &str) -> Done {
        Err(LINES)
    }

    async fn fill(&mut self, _: Who, _: &str, _: &str) -> Done {
        Err(LINES)
    }

    async fn offered(&mut self, _: Who, _: &str) -> Done<Vec<String>> {
        Err(TAB)
    }

    async fn bad_weather(&mut self) -> Done {
        Err(ONCE)
    }

    async fn away_while(&mut self, _: Who, _: &str) -> Done {
        Err(ONCE)
    }

    async fn is_marked(&mut self) -> Done<bool> {
        Err(ONE_PLACE)
    }

    async fn edits(&mut self) -> Done<usize> {
        Err(LINES)
    }

    async fn pinged(&mut self) -> Done<Vec<Who>> {
        Err(ONE_READER)
    }

    async fn has_threads(&mut self) -> Done<bool> {
        Err(ONE_PLACE)
    }

    async fn everybody(&mut self) -> Vec<String> {
        self.lines.lock().expect("no panic").clone()
    }

    /// What was printed since something was typed last, as one.
    async fn alone(&mut self, _: Who) -> Vec<String> {
        let lines = self.lines.lock().expect("no panic");
        vec![lines[self.answered..].join("\n")]
    }

    async fn facts(&mut self, kind: &str) -> usize {
        let export = self.home.run(&["ledger", "export"], "");
        let text = String::from_utf8(export.stdout).expect("text");
        let kind = format!("\"kind\":\"{kind}\"");
        text.lines().filter(|line| line.contains(&kind)).count()
    }

    fn violations(&mut self) -> Vec<String> {
        Vec::new()
    }
}
