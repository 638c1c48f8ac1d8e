//! Secrets from the environment and from a folder of files, as containers are given them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::actions::Secrets;
use crate::domain::{SHORTEST_SECRET, SecretName, recognisable_length};

/// Begins the name of each variable that holds a secret: `MIDWATCH_SECRET_VARNISH` is `{secret.varnish}`.
pub const VARIABLE_PREFIX: &str = "MIDWATCH_SECRET_";

/// Bytes from which on a secret does not stand in ordinary text by accident.
const SAFE_LENGTH: usize = 8;

/// Bytes of the longest secret: a private key has room, a wrong file does not.
const LONGEST_SECRET: u64 = 64 * 1024;

/// Finds secrets: a variable first, a file in the folder second.
pub struct LocalSecrets {
    variables: BTreeMap<String, SecretString>,
    folder: Option<PathBuf>,
    /// midwatch's own: no command can name them, and no output may show them.
    own: Vec<SecretString>,
}

impl LocalSecrets {
    /// Takes the secrets out of midwatch's environment; files are read when they are needed, so they may change.
    pub fn new(environment: &BTreeMap<String, String>, folder: Option<PathBuf>) -> Self {
        let variables = environment
            .iter()
            .filter(|(variable, _)| variable.starts_with(VARIABLE_PREFIX))
            .map(|(variable, value)| (variable.clone(), SecretString::from(trimmed(value))))
            .collect();
        Self {
            variables,
            folder,
            own: Vec::new(),
        }
    }

    /// Takes midwatch's own secrets out of output too: a program can read them where midwatch does.
    #[must_use]
    pub fn hiding(mut self, own: Vec<SecretString>) -> Self {
        self.own = own;
        self
    }

    /// Says which secrets no step can use, and why; never a value.
    pub fn unusable(&self) -> Vec<String> {
        let named = self.named().into_iter();
        let unusable = named.filter(|(_, value)| !redactable(value));
        unusable
            .map(|(place, _)| {
                format!(
                    "{place} is shorter than {SHORTEST_SECRET} bytes and could not be redacted: no step can use it; make it longer"
                )
            })
            .collect()
    }

    /// Says which secrets are used, but so short that they may stand in ordinary text; never a value.
    pub fn short(&self) -> Vec<String> {
        let named = self.named().into_iter();
        let short = named.filter(|(_, value)| redactable(value) && length(value) < SAFE_LENGTH);
        short
            .map(|(place, _)| {
                format!(
                    "{place} is shorter than {SAFE_LENGTH} bytes: it is redacted wherever ordinary text happens to hold it; make it longer"
                )
            })
            .collect()
    }

    /// Every secret with the place it stands in; files that can't be read are left out.
    fn named(&self) -> Vec<(String, SecretString)> {
        let variables = self.variables.iter();
        let mut named: Vec<_> = variables
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let files = self
            .folder
            .iter()
            .filter_map(|folder| folder.read_dir().ok());
        for entry in files.flatten().flatten() {
            let name = entry.file_name();
            let value = name.to_str().map(|name| self.read_file(name));
            if let Some(Ok(Some(value))) = value {
                named.push((entry.path().display().to_string(), value));
            }
        }
        named
    }

    /// The value in the folder: `None` when there is no such file.
    fn read_file(&self, name: &str) -> Result<Option<SecretString>, String> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.join(name);
        let length = match std::fs::metadata(&path) {
            Ok(file) if file.is_file() => file.len(),
            Ok(_) => return Err(format!("{} is not a file", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        if length > LONGEST_SECRET {
            return Err(format!("{} is longer than 64 kB", path.display()));
        }
        match std::fs::read_to_string(&path) {
            Ok(value) => Ok(Some(SecretString::from(trimmed(&value)))),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    fn looked_for(&self, name: &SecretName) -> String {
        let variable = variable_of(name);
        match &self.folder {
            Some(folder) => format!(
                "set the variable {variable} or write the file {}",
                folder.join(name.as_str()).display()
            ),
            None => format!("set the variable {variable}; no folder of secrets is configured"),
        }
    }
}

impl Secrets for LocalSecrets {
    fn resolve(&self, name: &SecretName) -> Result<SecretString, String> {
        let found = match self.variables.get(&variable_of(name)) {
            Some(value) => Some(value.clone()),
            None => self
                .read_file(name.as_str())
                .map_err(|why| format!("secret `{name}` can't be read: {why}"))?,
        };
        let Some(value) = found else {
            let where_to = self.looked_for(name);
            return Err(format!("secret `{name}` is not there; {where_to}"));
        };
        if !redactable(&value) {
            return Err(format!(
                "secret `{name}` is shorter than {SHORTEST_SECRET} bytes and could not be redacted; make it longer"
            ));
        }
        Ok(value)
    }

    fn all(&self) -> Vec<SecretString> {
        let named = self.named().into_iter().map(|(_, value)| value);
        let mut all: Vec<SecretString> = named.chain(self.own.iter().cloned()).collect();
        all.retain(redactable);
        all
    }
}

impl std::fmt::Debug for LocalSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalSecrets(folder: {:?})", self.folder)
    }
}

/// `db-password` is in `MIDWATCH_SECRET_DB_PASSWORD`.
fn variable_of(name: &SecretName) -> String {
    let name = name.as_str().to_ascii_uppercase().replace('-', "_");
    format!("{VARIABLE_PREFIX}{name}")
}

/// Without the line break that editors and `echo` leave.
fn trimmed(value: &str) -> &str {
    let value = value.strip_suffix('\n').unwrap_or(value);
    value.strip_suffix('\r').unwrap_or(value)
}

fn redactable(value: &SecretString) -> bool {
    length(value) >= SHORTEST_SECRET
}

/// Bytes by which it is recognised in output.
fn length(value: &SecretString) -> usize {
    recognisable_length(value.expose_secret())
}
