//! Generated commands and runbooks, on the disk that the build is on: a folder in memory would make fsync free.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use midwatch::catalog::{self, Folders};
use midwatch::domain::{
    Catalog, Inbound, InboundKey, Manner, Place, Platform, Source, Speaker, SpeakerKind,
};

/// A person who may, in every project, by the last rule.
pub(crate) const PERSON: &str = "ana";
/// That person's account.
pub(crate) const ACCOUNT: &str = "U0ANA";
/// What that person types.
pub(crate) const TYPED: &str = "rest prod";

/// A folder with files of our own; removed when dropped.
pub(crate) struct Home(tempfile::TempDir);

/// How much is in the files.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) projects: usize,
    pub(crate) rules: usize,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("ratios-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        Self(folder)
    }

    /// One command with one step, and so many projects with so many rules, of which the last one fits.
    pub(crate) fn of_size(size: Size) -> Self {
        let home = Self::new();
        home.write("commands/rest.yaml", COMMAND);
        home.write("runbooks/people.yaml", &people(size.rules));
        for number in 0..size.projects {
            let name = project(number);
            home.write(
                &format!("runbooks/{name}.yaml"),
                &runbook(number, size.rules),
            );
        }
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn folders(&self) -> Folders {
        Folders {
            commands: self.path("commands"),
            runbooks: self.path("runbooks"),
        }
    }

    /// The catalog of the files, which have no mistake.
    pub(crate) fn catalog(&self) -> Catalog {
        let loaded = catalog::load(&self.folders(), &std::collections::BTreeMap::new());
        let mistake = loaded.diagnostics.iter().find(|it| it.is_error());
        if let Some(mistake) = mistake {
            panic!("a generated file is wrong: {}", mistake.render(false));
        }
        loaded.catalog
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// The name of a project.
pub(crate) fn project(number: usize) -> String {
    format!("project-{number}")
}

/// The channel that implies a project.
pub(crate) fn channel(number: usize) -> String {
    format!("C0BENCH{number}")
}

/// The command, typed in the channel of a project; never the same one twice.
pub(crate) fn typed(now: Timestamp, project: usize) -> Inbound {
    let id = format!(
        "{}.738474920.{:x}",
        now.as_millisecond(),
        rand::random::<u64>()
    );
    Inbound {
        key: InboundKey::new(&["slack", "T0BENCH", "command", &id]),
        source: Source::Chat,
        speaker: Speaker {
            platform: Platform::Slack,
            space: "T0BENCH".to_owned(),
            id: ACCOUNT.to_owned(),
            kind: SpeakerKind::Person,
        },
        place: Place {
            platform: Platform::Slack,
            space: "T0BENCH".to_owned(),
            channel: channel(project),
            thread: None,
        },
        manner: Manner::Said,
        text: TYPED.to_owned(),
        sent_at: now,
        received_at: now,
        form_handle: None,
    }
}

const COMMAND: &str = "\
command: rest
does: Does nothing, quickly.
risk: low
undo: none, there is nothing to undo
parameters:
  environment: { type: environment }
steps:
  - name: nothing
    run: ['true']
    effect: idempotent
";

/// One group for each rule; the last one is the person's.
fn people(groups: usize) -> String {
    let mut text = "people:\n  ana: { name: Ana Ruiz, slack: U0ANA }\n  eve: { name: Eve Stone, slack: U0EVE }\ngroups:\n".to_owned();
    for number in 1..=groups {
        let member = if number == groups { PERSON } else { "eve" };
        writeln!(text, "  group-{number}: [{member}]").unwrap();
    }
    text
}

fn runbook(number: usize, rules: usize) -> String {
    let mut text = format!(
        "project: {}\nabout: The project number {number} of a benchmark.\nowner: group-{rules}\nchannels: [{}]\n\
         environments:\n  prod: {{ url: 'http://127.0.0.1:9' }}\nrules:\n",
        project(number),
        channel(number),
    );
    for rule in 1..=rules {
        writeln!(text, "  - {{ may: rest, in: prod, who: group-{rule} }}").unwrap();
    }
    text.push_str(
        "  - otherwise: ask the owner\nescalation:\n  - { at: 0m, call: '@ana' }\nexamples:\n",
    );
    text.push_str("  - { who: ana, says: rest prod, then: allowed }\n");
    text
}
