//! Folders of files for one test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use midwatch::catalog::{Folders, Loaded, load, render_all};
use tempfile::TempDir;

/// Two folders that go away with the test.
pub(crate) struct Files {
    dir: TempDir,
    pub(crate) variables: BTreeMap<String, String>,
}

/// People enough for most tests.
pub(crate) const PEOPLE: &str = "\
people:
  ana: { name: Ana, slack: U0ANA }
  bo: { name: Bo, slack: U0BO }
groups:
  team: [ana]
  engineering: [ana, bo]
rotations:
  shop: { zone: Europe/Berlin, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [ana, bo] } }
";

/// A command that reads.
pub(crate) const LOOK: &str = "\
command: look
does: Looks.
parameters:
  environment: { type: environment }
steps:
  - { name: look, run: [uptime], effect: read }
";

/// A runbook without a mistake, and without a warning.
pub(crate) const SHOP: &str = "\
project: shop
about: The shop.
owner: team
channels: [C0SHOP]
environments:
  prod: { url: \"http://127.0.0.1:1\" }
rules:
  - may: look
    who: engineering
  - otherwise: call oncall(shop)
escalation:
  - { at: 0m, call: oncall(shop) }
";

impl Files {
    /// The folders, with people, one command and one runbook.
    pub(crate) fn usual() -> Self {
        Self::empty()
            .with("runbooks/people.yaml", PEOPLE)
            .with("commands/look.yaml", LOOK)
            .with("runbooks/shop.yaml", SHOP)
    }

    /// The folders, empty.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("commands")).expect("an empty folder takes another");
        fs::create_dir(dir.path().join("runbooks")).expect("an empty folder takes another");
        Self {
            dir,
            variables: BTreeMap::new(),
        }
    }

    pub(crate) fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.write(name, text);
        self
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), text).expect("the folder is ours");
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn folders(&self) -> Folders {
        Folders {
            commands: self.path().join("commands"),
            runbooks: self.path().join("runbooks"),
        }
    }

    pub(crate) fn load(&self) -> Loaded {
        load(&self.folders(), &self.variables)
    }

    /// All diagnostics, with the paths as seen from the folder above both.
    pub(crate) fn rendered(&self) -> String {
        let text = render_all(&self.load().diagnostics, false);
        text.replace(&format!("{}/", self.path().display()), "")
    }
}
