//! The story at the console, where nobody is called away from elsewhere and everything is typed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::block_in_place;

use super::{Night, PATIENCE, Visited, Who, files, has_all, three_in_the_morning};
use crate::bot::Home;

#[tokio::test(flavor = "multi_thread")]
async fn at_the_console_a_stranger_flushes_a_real_varnish_at_three_in_the_morning() {
    let Some(visited) = Visited::open().await else {
        return;
    };
    let mut night = Console::begin(files(&visited.varnish));
    three_in_the_morning(&mut night, &visited).await;
    let verified = night.home.run(&["ledger", "verify"], "");
    assert!(verified.status.success());
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
    fn begin(home: Home) -> Self {
        let mut command = home.command(&["try"]);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let (typed, printed) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(printed).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self {
            home,
            child,
            typed,
            lines,
            answered: 0,
        }
    }

    /// Waits until what was printed from this line on has all of these words; answers from the line with the first on.
    async fn printed(&self, from: usize, says: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let lines = self.lines.lock().unwrap()[from..].to_vec();
            let first = lines.iter().position(|line| line.contains(says[0]));
            let text = first.map(|first| lines[first..].join("\n"));
            let whole = lines.join("\n");
            if let Some(text) = text.filter(|_| has_all(&whole, says)) {
                return text;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{says:?} is not printed: {whole}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It may have ended.
        let _ = self.child.wait();
    }
}

#[async_trait]
impl Night for Console {
    async fn says(&mut self, who: Who, text: &str) {
        self.answered = self.lines.lock().unwrap().len();
        writeln!(self.typed, "/as {}\n/ops {text}", who.id()).unwrap();
        self.typed.flush().unwrap();
    }

    async fn seen(&mut self, says: &[&str]) -> String {
        self.printed(0, says).await
    }

    async fn told(&mut self, _: Who, says: &[&str]) -> String {
        self.printed(self.answered, says).await
    }

    async fn called(&mut self, who: Who, level: &str) {
        assert_eq!(who, Who::Bo);
        self.seen(&[&format!("calling {level}: @Bo Lind")]).await;
    }

    async fn answers(&mut self, who: Who, _: &str, word: &str) {
        self.says(who, word).await;
    }

    fn facts(&self, kind: &str) -> Vec<serde_json::Value> {
        let export = block_in_place(|| self.home.run(&["ledger", "export"], ""));
        let text = String::from_utf8(export.stdout).unwrap();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let facts = lines.map(|line| line["fact"].clone());
        facts.filter(|fact| fact["kind"] == kind).collect()
    }

    fn link(&self) -> &'static str {
        "its lines at the console"
    }
}
