//! What is typed before the storm, and how its threads must look afterwards.

use std::collections::HashMap;

use super::Sky;

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

/// A message of midwatch's, as people see it.
pub(super) struct Told {
    pub(super) id: String,
    /// Id of the first message of its thread.
    pub(super) thread: Option<String>,
    pub(super) text: String,
    pub(super) files: usize,
    /// What no other message may have, too.
    pub(super) only_once: Option<String>,
}

/// The channels in which something is typed.
pub(super) fn channels(jobs: &[Job]) -> Vec<String> {
    let mut channels: Vec<String> = jobs.iter().map(|job| job.channel.clone()).collect();
    channels.dedup();
    channels
}

/// Holds each thread against what was typed.
pub(super) fn judge<S: Sky>(sky: &S, jobs: &[Job]) -> Judged {
    let mut judged = Judged::default();
    let mut seen: HashMap<String, String> = HashMap::new();
    for channel in channels(jobs) {
        let told = sky.told(&channel);
        for job in jobs.iter().filter(|job| job.channel == channel) {
            judge_one(job, &told, &mut judged);
        }
        for message in told {
            let Some(before) = message
                .only_once
                .and_then(|it| seen.insert(it, message.id.clone()))
            else {
                continue;
            };
            judged.for_good = true;
            judged.complaints.push(format!(
                "posted twice, as {before} and {}: {}",
                message.id, message.text
            ));
        }
    }
    sky.judge_more(&mut judged);
    judged
}

fn judge_one(job: &Job, told: &[Told], judged: &mut Judged) {
    let mut complain = |what: String| judged.complaints.push(format!("{}: {what}", job.tag));
    let is_root = |it: &&Told| it.thread.is_none() && tag_of(it) == Some(job.tag.as_str());
    let roots: Vec<&Told> = told.iter().filter(is_root).collect();
    let [root] = roots[..] else {
        return complain(format!("{} root messages", roots.len()));
    };
    let headline = root.text.lines().next().unwrap_or_default();
    if !headline.contains(job.ending.headline()) {
        complain(format!("the root says: {headline}"));
    }
    let in_thread = |it: &&Told| it.thread.as_ref() == Some(&root.id);
    let thread: Vec<&Told> = told.iter().filter(in_thread).collect();
    // Last lines alone carry a checkpoint.
    let last: Vec<usize> = (0..thread.len())
        .filter(|n| thread[*n].text.contains("\u{2014} midwatch/"))
        .collect();
    match last[..] {
        [at] if at + 1 == thread.len() => {
            if !thread[at].text.contains(job.ending.headline()) {
                complain(format!("its last line says: {}", thread[at].text));
            }
        }
        [at] => complain(format!(
            "line {} of {} is the last one",
            at + 1,
            thread.len()
        )),
        _ => complain(format!("{} last lines", last.len())),
    }
    let files = thread.iter().filter(|it| it.files > 0).count();
    let files_owed = usize::from(job.ending == Ending::Prints);
    if files != files_owed {
        complain(format!("{files} files in its thread, not {files_owed}"));
    }
    judged.lines += thread.len() - files - last.len();
}

/// The tag among the arguments that a root names.
fn tag_of(message: &Told) -> Option<&str> {
    let (_, after) = message.text.split_once("tag=")?;
    after.split(|c: char| !c.is_ascii_alphanumeric()).next()
}

/// The files of a midwatch that serves these channels for this person.
pub(super) fn files(channels: &[String], person: &str) -> Vec<(String, String)> {
    let channels: Vec<String> = channels.iter().map(|it| format!("\"{it}\"")).collect();
    let book = format!(
        "project: sea\nabout: The proof's own.\nowner: crew\nchannels: [{}]\nenvironments: {{ here: {{}} }}\n\
         rules:\n  - {{ may: everything, who: crew }}\n  - otherwise: ask Ann\n\
         escalation:\n  - {{ at: 0m, call: crew }}\n",
        channels.join(", ")
    );
    let people = format!("people:\n  ann: {{ name: Ann, {person} }}\ngroups:\n  crew: [ann]\n");
    let mut files = vec![
        ("runbooks/people.yaml".to_owned(), people),
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
