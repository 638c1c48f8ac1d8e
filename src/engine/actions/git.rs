//! Asks git who changed the users' files. No step of a run: it reads, within seconds, and nothing waits for it.
//!
//! The repository may be anybody's: none of its programs is run, and what its commits say is cut and made harmless.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use process_wrap::tokio::ChildWrapper;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use super::leash::Leash;
use crate::domain::Commit;

/// How long git may take. A history is read from its end, so its length does not matter.
const WITHIN: Duration = Duration::from_secs(10);
/// Commits that are asked for; older ones are git's alone.
pub const MOST_COMMITS: usize = 500;
/// Bytes that are read of its answer.
const LARGEST: u64 = 1 << 20;
const SUMMARY_CHARS: usize = 100;
const AUTHOR_CHARS: usize = 60;
const MOST_FILES: usize = 20;
/// Variables that git gets, where midwatch has them.
const PASSED: [&str; 2] = ["PATH", "HOME"];

/// The newest commits that changed something in this folder, newest first; file names are relative to it.
///
/// # Errors
/// A sentence: git is missing, the folder is in no repository, it took too long.
pub async fn commits(
    folder: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Commit>, String> {
    let argv = argv(folder);
    let passed = PASSED
        .into_iter()
        .filter_map(|name| Some((name, environment.get(name)?)));
    let child = Leash::None.spawn(&argv, |command| {
        command
            .env_clear()
            .envs(passed)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    });
    let child = child.map_err(|error| format!("git can't be started: {error}"))?;
    match timeout(WITHIN, answer(child)).await {
        Ok(Ok(output)) => Ok(parse(&output)),
        Ok(Err(complaint)) => Err(in_words(folder, &complaint)),
        Err(_) => Err(format!("git did not answer within {WITHIN:?}")),
    }
}

fn argv(folder: &Path) -> Vec<String> {
    let most = MOST_COMMITS.to_string();
    let folder = folder.to_string_lossy();
    // A repository's own settings may name programs; these are the ones that reading a log would run: a monitor of files, a
    // checker of signatures, and in a partial clone whatever fetches the rest.
    [
        "git",
        "--no-pager",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "log.showSignature=false",
        "-c",
        "protocol.allow=never",
        "-C",
        folder.as_ref(),
        "log",
        "-n",
        most.as_str(),
        "--no-color",
        "--no-renames",
        "--relative",
        "--name-only",
        "-z",
        "--format=%x00%H%x00%ct%x00%an%x00%s",
        "--",
        ".",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What it printed, or what it complained about.
async fn answer(mut child: Box<dyn ChildWrapper>) -> Result<Vec<u8>, String> {
    let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
    let (output, complaint) = tokio::join!(read(stdout), read(stderr));
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() || output.len() as u64 == LARGEST {
        return Ok(output);
    }
    Err(String::from_utf8_lossy(&complaint).into_owned())
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before a pipe broke is what there is.
        pipe.take(LARGEST).read_to_end(&mut bytes).await.ok();
    }
    bytes
}

fn in_words(folder: &Path, complaint: &str) -> String {
    let folder = folder.display();
    if complaint.contains("not a git repository") {
        return format!("{folder} is in no git repository");
    }
    if complaint.contains("does not have any commits") {
        return format!("the git repository of {folder} has no commits yet");
    }
    if complaint.contains("dubious ownership") {
        return format!(
            "git does not trust {folder}, which another user owns: `git config --global --add safe.directory` as midwatch's user lets it"
        );
    }
    let first = complaint.lines().next().unwrap_or("nothing");
    format!("git says of {folder}: {}", short(first, SUMMARY_CHARS))
}

/// Reads what `--format` and `-z` print: an empty text, four texts, then file names up to the next empty text.
fn parse(output: &[u8]) -> Vec<Commit> {
    let mut texts = output.split(|byte| *byte == 0).peekable();
    let mut commits = Vec::new();
    while let Some(text) = texts.next() {
        if !text.is_empty() {
            continue;
        }
        let [Some(hash), Some(at), Some(author), Some(summary)] =
            std::array::from_fn(|_| texts.next().map(String::from_utf8_lossy))
        else {
            break;
        };
        let mut files = Vec::new();
        while let Some(name) = texts.next_if(|text| !text.is_empty()) {
            let name = String::from_utf8_lossy(name);
            if files.len() < MOST_FILES {
                files.push(short(name.trim_start_matches('\n'), AUTHOR_CHARS));
            }
        }
        let at = at
            .parse()
            .ok()
            .and_then(|at| Timestamp::from_second(at).ok());
        if let Some(at) = at.filter(|_| is_hash(&hash)) {
            commits.push(Commit {
                hash: hash.into_owned(),
                at,
                author: short(&author, AUTHOR_CHARS),
                summary: short(&summary, SUMMARY_CHARS),
                files,
            });
        }
    }
    commits
}

fn is_hash(text: &str) -> bool {
    (40..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// On one line, and no longer than this.
fn short(text: &str, chars: usize) -> String {
    let clean = text.replace(char::is_control, " ");
    let words = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= chars {
        return words;
    }
    words.chars().take(chars - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_git_is_read_and_what_is_odd_in_it_is_cut() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let long = "x".repeat(300);
        let output = format!(
            "\0{one}\01790000000\0Ana\0Let kim flush\0\nshop.yaml\0a b.md\0\0{two}\01789990000\0A\tB\0{long}\0\nx\0\0nohash\01\0\0\0\ny\0\0{one}"
        );
        let commits = parse(output.as_bytes());
        assert_eq!(commits.len(), 2, "{commits:?}");
        assert_eq!(commits[0].files, ["shop.yaml", "a b.md"]);
        assert_eq!(commits[0].summary, "Let kim flush");
        assert_eq!(commits[1].author, "A B");
        assert_eq!(commits[1].summary.chars().count(), SUMMARY_CHARS);
    }
}
