//! A plan: the ordered steps of a run, fixed when it is allowed. None can be made without a permit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Action, Arguments, CommandName, Effect, EnvironmentName, ProjectName, Rendered, Revision, Risk,
    StepName, Value,
};

/// One parsed, typed use of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// The command.
    pub command: CommandName,
    /// The project.
    pub project: ProjectName,
    /// The environment; `None` for commands that declare none.
    pub environment: Option<EnvironmentName>,
    /// Every parameter of the command that has a value, defaults included.
    pub arguments: Arguments,
    /// `--again`: run although somebody just did it.
    pub again: bool,
    /// `--reason …`: why, in the requester's words.
    pub reason: Option<String>,
    /// Said with `break-glass`, a reason and the phrase.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub glass: bool,
}

/// The ordered steps of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Revision of the catalog it was made from.
    pub revision: Revision,
    /// Copied, so that the thread can say it later.
    pub risk: Risk,
    /// Copied: how to reverse it, in words.
    pub undo: Option<String>,
    /// Copied: the command that shows whether it worked.
    pub check: Option<CommandName>,
    /// Non-empty.
    pub steps: Vec<PlannedStep>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Unique within the plan.
    pub name: StepName,
    /// The work, with everything filled in but the values of secrets.
    pub action: Action<Rendered>,
    /// Only for `checked`.
    pub verify: Option<Action<Rendered>>,
    /// What a crash allows us to do.
    pub effect: Effect,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// How many attempts there may be; at least 1.
    pub attempts: u32,
    /// Hosts that an `http` action may reach, `host:port`, lower case.
    pub hosts: Vec<String>,
}

impl PlannedStep {
    /// How long one attempt may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Plan {
    /// SHA-256 over the plan's canonical JSON without its revision, in hexadecimal: what consent is given to. A file that
    /// has nothing to do with it makes no other plan of it.
    pub fn digest(&self) -> String {
        let mut plan = serde_json::to_value(self).expect("a plan has only string keys");
        if let Some(fields) = plan.as_object_mut() {
            fields.remove("revision");
        }
        let text = super::canonical_json(&plan);
        data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
    }
}

impl Invocation {
    /// Whether it is wanted although somebody just did it: that takes a reason.
    pub fn insists(&self) -> bool {
        self.again && self.reason.is_some()
    }

    /// The text that says the same when it is typed where the project is understood.
    pub fn typed(&self) -> String {
        let mut words = Vec::new();
        if self.glass {
            words.push("break-glass".to_owned());
        }
        words.push(self.command.to_string());
        // A command's only environment needs no name: nothing that can be missing comes before it
        // (`Command::positional`).
        words.extend(self.environment.iter().map(EnvironmentName::to_string));
        for (name, value) in &self.arguments {
            let said = self.environment.is_some() && matches!(value, Value::Environment(_));
            if !said {
                words.push(format!("{name}={}", quoted(&value.to_string())));
            }
        }
        if self.again {
            words.push("--again".to_owned());
        }
        if let Some(reason) = &self.reason {
            words.push(format!("reason={}", quoted(reason)));
        }
        if self.glass {
            words.push(format!("phrase={}", quoted(&self.phrase())));
        }
        words.join(" ")
    }

    /// What is typed to break the glass: the command, and where.
    pub fn phrase(&self) -> String {
        let environment = self.environment.as_ref().map(|it| format!(" {it}"));
        format!("{}{}", self.command, environment.unwrap_or_default())
    }

    /// The text that says the same wherever it is typed.
    pub fn typed_in_full(&self) -> String {
        format!("{} project={}", self.typed(), self.project)
    }

    /// What a lock is about: the same text for two invocations that may not run at once.
    pub fn target(&self, exclusive: super::Exclusive) -> String {
        let environment = self
            .environment
            .as_ref()
            .map_or("-", EnvironmentName::as_str);
        match exclusive {
            super::Exclusive::Project => format!("{}/{}", self.command, self.project),
            super::Exclusive::Environment => {
                format!("{}/{}/{environment}", self.command, self.project)
            }
            super::Exclusive::Arguments => self.same_target(),
        }
    }

    /// The same text for two invocations that ask for the very same: command, project, environment and arguments.
    pub fn same_target(&self) -> String {
        let environment = self
            .environment
            .as_ref()
            .map_or("-", EnvironmentName::as_str);
        let arguments: BTreeMap<_, _> = self
            .arguments
            .iter()
            .map(|(name, value)| (name, value.to_string()))
            .collect();
        let text = serde_json::to_string(&arguments).expect("argument names are string keys");
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..8]);
        format!("{}/{}/{environment}/{digest}", self.command, self.project)
    }
}

/// Quotes a word when it could not be typed as it is.
pub fn quoted(word: &str) -> String {
    let plain = !word.is_empty()
        && !word.starts_with('-')
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || "/._:@%+,-".contains(c));
    if plain {
        word.to_owned()
    } else {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    }
}
