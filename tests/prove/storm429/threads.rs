//! What is typed before the storm, and how its threads must look afterwards.

use std::collections::HashMap;

use crate::fakes::slack::{BOT_USER, FakeSlack, Posted, render};

/// Steps of each command.
pub(super) const STEPS: u32 = 3;

/// A command that somebody types.
pub(super) struct Job {
    pub(super) tag: String,
    pub(super) channel: String,
    pub(super) ending: Ending,
    /// Seconds that each step takes.
    pub(super) pause: String,
}

/// How its run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Succeeds,
    /// At its last step.
    Fails,
    /// Well, with an output that is too long for its line.
    Prints,
}

impl Ending {
    const ALL: [Self; 3] = [Self::Succeeds, Self::Fails, Self::Prints];

    fn command(self) -> &'static str {
        match self {
            Self::Succeeds => "work",
            Self::Fails => "break",
            Self::Prints => "print",
        }
    }

    fn headline(self) -> &'static str {
        match self {
            Self::Succeeds | Self::Prints => "succeeded in",
            Self::Fails => "failed at",
        }
    }
}

impl Job {
    /// As it is typed.
    pub(super) fn text(&self) -> String {
        format!(
            "{} {} pause={}",
            self.ending.command(),
            self.tag,
            self.pause
        )
    }

    /// Lines between the root and the last line when all are kept: who asked, and a line for each step.
    pub(super) fn lines(&self) -> usize {
        1 + STEPS as usize
    }
}

/// What the threads look like.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) complaints: Vec<String>,
    /// Whether one of them stays true, however long we wait.
    pub(super) for_good: bool,
    /// Lines between root and last line.
    pub(super) lines: usize,
}

/// Holds each thread against what was typed.
pub(super) fn judge(slack: &FakeSlack, jobs: &[Job]) -> Judged {
    let mut judged = Judged::default();
    for job in jobs {
        let messages = slack.messages(&job.channel);
        let ours: Vec<&Posted> = messages.iter().filter(|it| it.user == BOT_USER).collect();
        judge_one(job, &ours, &mut judged);
    }
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut channels: Vec<&str> = jobs.iter().map(|job| job.channel.as_str()).collect();
    channels.dedup();
    for message in channels.iter().flat_map(|channel| slack.messages(channel)) {
        let id = message.metadata["event_payload"]["id"].as_str();
        let Some(id) = id.filter(|_| message.user == BOT_USER) else {
            continue;
        };
        if let Some(before) = seen.insert(id.to_owned(), message.ts.clone()) {
            let text = render(&message);
            judged.for_good = true;
            judged.complaints.push(format!(
                "posted twice, as {before} and {}: {text}",
                message.ts
            ));
        }
    }
    judged
}

fn judge_one(job: &Job, ours: &[&Posted], judged: &mut Judged) {
    let mut complain = |what: String| judged.complaints.push(format!("{}: {what}", job.tag));
    let is_root =
        |it: &&&Posted| it.thread.is_none() && tag_of(it).as_deref() == Some(job.tag.as_str());
    let roots: Vec<&&Posted> = ours.iter().filter(is_root).collect();
    let [root] = roots[..] else {
        return complain(format!("{} root messages", roots.len()));
    };
    let text = render(root);
    let headline = text.lines().next().unwrap_or_default();
    if !headline.contains(job.ending.headline()) {
        complain(format!("the root says: {headline}"));
    }
    let in_thread = |it: &&&Posted| it.thread.as_ref() == Some(&root.ts);
    let thread: Vec<&&Posted> = ours.iter().filter(in_thread).collect();
    // Last lines alone carry a checkpoint.
    let last: Vec<usize> = (0..thread.len())
        .filter(|n| render(thread[*n]).contains("\u{2014} midwatch/"))
        .collect();
    match last[..] {
        [at] if at + 1 == thread.len() => {
            if !render(thread[at]).contains(job.ending.headline()) {
                complain(format!("its last line says: {}", render(thread[at])));
            }
        }
        [at] => complain(format!(
            "line {} of {} is the last one",
            at + 1,
            thread.len()
        )),
        _ => complain(format!("{} last lines", last.len())),
    }
    let files = thread.iter().filter(|it| !it.files.is_empty()).count();
    let files_owed = usize::from(job.ending == Ending::Prints);
    if files != files_owed {
        complain(format!("{files} files in its thread, not {files_owed}"));
    }
    judged.lines += thread.len() - files - last.len();
}

/// The tag among the arguments that a root names.
fn tag_of(message: &Posted) -> Option<String> {
    let text = render(message);
    let (_, after) = text.split_once("tag=")?;
    Some(
        after
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect(),
    )
}

const PEOPLE: &str = "people:\n  ann: { name: Ann, slack: U1 }\ngroups:\n  crew: [ann]\n";

/// The files of a midwatch that serves these channels.
pub(super) fn files(channels: &[&str]) -> Vec<(String, String)> {
    let book = format!(
        "project: sea\nabout: The proof's own.\nowner: crew\nchannels: [{}]\nenvironments: {{ here: {{}} }}\n\
         rules:\n  - {{ may: everything, who: crew }}\n  - otherwise: ask Ann\n\
         escalation:\n  - {{ at: 0m, call: crew }}\n",
        channels.join(", ")
    );
    let mut files = vec![
        ("runbooks/people.yaml".to_owned(), PEOPLE.to_owned()),
        ("runbooks/sea.yaml".to_owned(), book),
    ];
    for ending in Ending::ALL {
        let name = ending.command();
        files.push((format!("commands/{name}.yaml"), command(ending)));
    }
    files
}

fn command(ending: Ending) -> String {
    let mut text = format!(
        "command: {}\ndoes: Takes its time.\nrisk: low\nundo: none\nparameters:\n\
         \x20 tag: {{ type: text, matches: 't[0-9]+' }}\n  pause: {{ type: text, matches: '[0-9.]+' }}\nsteps:\n",
        ending.command()
    );
    for step in 1..=STEPS {
        let then = match ending {
            Ending::Fails if step == STEPS => "exit 3",
            Ending::Prints if step == 2 => "seq 1 400",
            _ => "echo done",
        };
        text += &format!(
            "  - {{ name: step-{step}, run: [sh, -c, 'sleep \"$0\"; {then}', \"{{pause}}\"], effect: idempotent }}\n"
        );
    }
    text
}
