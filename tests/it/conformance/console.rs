//! The console: `midwatch try`, one command a line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use async_trait::async_trait;
use tokio::task::block_in_place;

use super::stage::{At, Cant, Done, Stage, Trouble, Who};
use super::watch::aloud;
use super::yard::{self, Names, furnished};
use crate::bot::Home;

pub(super) const ONE_PLACE: Cant = Cant(
    "a terminal is one place: no channel, no mention and no thread beside it (docs of `midwatch try`)",
);
pub(super) const LINES: Cant = Cant(
    "a terminal shows lines one after the other: it edits none, has no button and opens no form; it says what to type",
);
pub(super) const ONE_READER: Cant =
    Cant("a terminal has one reader, who is not called away from elsewhere: it pings nobody");
pub(super) const ONCE: Cant =
    Cant("a terminal delivers what is typed once and at once, and asks nobody how fast");
pub(super) const TAB: Cant = Cant(
    "completion needs a terminal, and tests have none: `cargo test --lib complete` shows what is offered",
);
const IN_ORDER: Cant = Cant(
    "without a terminal, as in tests, the next line is read when the run before it has ended: `cargo test --test it -- console`",
);
const WHOLE: Cant = Cant("a terminal shows all of an output, while it is printed");

pub(super) fn begin() -> Box<dyn Stage> {
    let names = Names {
        channels: &[],
        leads: "[dana]".to_owned(),
        mirrors: String::new(),
    };
    let home = furnished(Home::shipped(), &names);
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let (child, typed) = start(&home, &lines);
    Box::new(Console {
        home,
        child,
        typed,
        lines,
        answered: 0,
    })
}

fn start(home: &Home, lines: &Arc<Mutex<Vec<String>>>) -> (Child, ChildStdin) {
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
    let kept = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(printed).lines().map_while(Result::ok) {
            kept.lock().expect("no panic").push(line);
        }
    });
    (child, typed)
}

struct Console {
    home: Home,
    child: Child,
    typed: ChildStdin,
    lines: Arc<Mutex<Vec<String>>>,
    /// How many lines there were when something was typed last.
    answered: usize,
}

impl Console {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().expect("no panic")
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        yard::kill_steps(&self.home);
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
            Who::BoElsewhere | Who::Stranger => {
                return Err(Cant("the console plays people of people.yaml only"));
            }
        };
        let printed = self.lines().len();
        self.answered = printed;
        writeln!(self.typed, "/as {who}\n/ops {text}").expect("midwatch reads");
        self.typed.flush().expect("midwatch reads");
        Ok(())
    }

    async fn trouble(&mut self, trouble: Trouble) -> Done {
        match trouble {
            Trouble::PowerCut => {
                yard::works(&self.home).await;
                let _ = self.child.kill();
                let _ = self.child.wait();
                yard::kill_steps(&self.home);
                (self.child, self.typed) = start(&self.home, &self.lines);
                Ok(())
            }
            Trouble::ThreadShut => Err(ONE_PLACE),
            Trouble::GrownOld => Err(LINES),
            Trouble::TooFast
            | Trouble::AnswerLost
            | Trouble::Elsewhere
            | Trouble::LineCut
            | Trouble::Deaf
            | Trouble::Hearing => Err(ONCE),
        }
    }

    async fn files(&mut self) -> Done<Vec<String>> {
        Err(WHOLE)
    }

    async fn amid_a_run(&mut self) -> Done {
        Err(IN_ORDER)
    }

    async fn shown(&mut self, at: At) -> Done<Vec<String>> {
        match at {
            At::Shop => Ok(self.lines().iter().map(|it| aloud(it)).collect()),
            At::Mirror => Err(ONE_PLACE),
        }
    }

    /// What was printed since something was typed last, as one, after its prompt.
    async fn alone(&mut self, _: Who) -> Vec<String> {
        let printed = self.lines()[self.answered..].to_vec();
        let after = printed
            .iter()
            .position(|line| line.contains("> /ops "))
            .map_or(printed.len(), |prompt| prompt + 1);
        vec![aloud(&printed[after..].join("\n"))]
    }

    async fn facts(&mut self, kind: &str) -> usize {
        let export = block_in_place(|| self.home.run(&["ledger", "export"], ""));
        let text = String::from_utf8(export.stdout).expect("text");
        let kind = format!("\"kind\":\"{kind}\"");
        text.lines().filter(|line| line.contains(&kind)).count()
    }

    fn violations(&mut self) -> Vec<String> {
        Vec::new()
    }
}
