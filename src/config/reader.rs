//! Looks settings up, environment first, and collects what is wrong with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::{Host, Url};

use super::{NAMES, Origin, Shown, file};
use crate::domain::SecretName;

/// Names of the environment that are ours: an unknown one is a mistake and not another program's.
const OURS: &[&str] = &["MIDWATCH_", "SLACK_", "DISCORD_"];

const SECRET: &str = "MIDWATCH_SECRET_";
const VARIABLE: &str = "VAR_";

/// Looks settings up and collects problems.
pub(super) struct Reader {
    values: BTreeMap<String, (String, Origin)>,
    problems: Vec<String>,
    /// What was looked up so far.
    pub(super) shown: Vec<Shown>,
}

impl Reader {
    /// Merges file and environment. Unknown names are problems.
    pub(super) fn open(environment: &BTreeMap<String, String>, path: Option<&Path>) -> Self {
        let mut problems = Vec::new();
        let mut values = BTreeMap::new();
        if let Some(path) = path {
            for (name, (value, line)) in file::read(path, &mut problems) {
                let place = format!("{}:{line}", path.display());
                if !is_known(&name) {
                    problems.push(unknown(&place, &name));
                }
                values.insert(name, (value, Origin::File(place)));
            }
        }
        for (name, value) in environment {
            if is_known(name) {
                // Composition files often pass a name on without a value: that is not a setting.
                if !value.trim().is_empty() {
                    values.insert(name.clone(), (value.trim().to_owned(), Origin::Environment));
                }
            } else if OURS.iter().any(|prefix| name.starts_with(prefix)) {
                problems.push(unknown("environment", name));
            }
        }
        values.retain(|_, (value, _)| !value.is_empty());
        Self {
            values,
            problems,
            shown: Vec::new(),
        }
    }

    /// Answers with every problem found.
    pub(super) fn finish(self) -> Result<(), Vec<String>> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(self.problems)
        }
    }

    /// Adds a problem that concerns several settings.
    pub(super) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// A setting that may be any text.
    pub(super) fn text(&mut self, name: &str, default: &str) -> String {
        let (value, origin) = self.find(name, default);
        self.show(name, value.clone(), origin);
        value
    }

    /// A setting that `parse` understands; its error completes the sentence "`NAME` …". `None`: a problem was noted.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (value, origin) = self.find(name, default);
        self.show(name, value.clone(), origin.clone());
        parse(&value)
            .map_err(|what| self.complain(name, &origin, &format!("`{}` {what}", short(&value))))
            .ok()
    }

    /// An existing folder, when the setting is given.
    pub(super) fn folder(&mut self, name: &str) -> Option<PathBuf> {
        let Some((value, origin)) = self.values.get(name).cloned() else {
            self.show(name, "not set".to_owned(), Origin::Default);
            return None;
        };
        let folder = PathBuf::from(&value);
        if !folder.is_dir() {
            let what = format!("`{}` is not a folder; create it or unset it", short(&value));
            self.complain(name, &origin, &what);
        }
        self.show(name, value, origin);
        Some(folder)
    }

    /// A secret that starts with `prefix`; `place` says where to get it. Its value is never shown.
    pub(super) fn token(&mut self, name: &str, prefix: &str, place: &str) -> Option<SecretString> {
        let Some((value, origin)) = self.values.get(name).cloned() else {
            self.show(name, "not set".to_owned(), Origin::Default);
            return None;
        };
        if !value.starts_with(prefix) {
            let what = format!("doesn't start with {prefix}; copy the right one ({place})");
            self.complain(name, &origin, &what);
        } else if value.contains(char::is_whitespace) {
            let what = format!("has white space in it; copy it again ({place})");
            self.complain(name, &origin, &what);
        }
        self.show(name, "set".to_owned(), origin);
        Some(SecretString::from(value))
    }

    /// An address that we call; plain `http` is for this host alone. Without a slash at the end.
    pub(super) fn api_url(&mut self, name: &str, default: &str) -> String {
        self.parsed(name, default, |text| {
            check_url(text).map(|()| text.trim_end_matches('/').to_owned())
        })
        .unwrap_or_default()
    }

    /// The database's address, shown without its password.
    pub(super) fn database_url(&mut self, default: &str) -> String {
        const NAME: &str = "DATABASE_URL";
        let (value, origin) = self.find(NAME, default);
        let scheme = value.split_once(':').map_or("", |(scheme, _)| scheme);
        if !["sqlite", "postgres", "postgresql"].contains(&scheme) {
            self.complain(
                NAME,
                &origin,
                "starts with neither sqlite: nor postgres:; write it like sqlite:midwatch.db or postgres://host/name",
            );
        }
        self.show(NAME, without_password(&value), origin);
        value
    }

    /// The values of `VAR_NAME`, by the whole name.
    pub(super) fn variables(&mut self) -> BTreeMap<String, String> {
        let found = self.family(VARIABLE);
        for (name, value, origin) in &found {
            self.show(&format!("{VARIABLE}{name}"), value.clone(), origin.clone());
        }
        found
            .into_iter()
            .map(|(name, value, _)| (format!("{VARIABLE}{name}"), value))
            .collect()
    }

    /// The values of `MIDWATCH_SECRET_NAME`, by `name` in lower case.
    pub(super) fn secrets(&mut self) -> BTreeMap<SecretName, SecretString> {
        let mut secrets = BTreeMap::new();
        for (suffix, value, origin) in self.family(SECRET) {
            let variable = format!("{SECRET}{suffix}");
            match SecretName::parse(&suffix.to_ascii_lowercase()) {
                Ok(name) => {
                    secrets.insert(name, SecretString::from(value));
                }
                Err(why) => self.complain(&variable, &origin, &format!("names no secret: {why}")),
            }
            self.show(&variable, "set".to_owned(), origin);
        }
        secrets
    }

    /// A setting that need not be there, and that `parse` understands; its error completes the sentence "`NAME` …".
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some((value, origin)) = self.values.get(name).cloned() else {
            self.show(name, "not set".to_owned(), Origin::Default);
            return None;
        };
        self.show(name, value.clone(), origin.clone());
        parse(&value)
            .map_err(|what| self.complain(name, &origin, &format!("`{}` {what}", short(&value))))
            .ok()
    }

    /// The same for a value that may hold a secret: never shown, and not repeated in a problem.
    pub(super) fn hidden<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some((value, origin)) = self.values.get(name).cloned() else {
            self.show(name, "not set".to_owned(), Origin::Default);
            return None;
        };
        self.show(name, "set".to_owned(), origin.clone());
        parse(&value)
            .map_err(|what| self.complain(name, &origin, &what))
            .ok()
    }

    fn family(&self, prefix: &str) -> Vec<(String, String, Origin)> {
        self.values
            .iter()
            .filter_map(|(name, (value, origin))| {
                let suffix = name.strip_prefix(prefix)?;
                Some((suffix.to_owned(), value.clone(), origin.clone()))
            })
            .collect()
    }

    fn find(&self, name: &str, default: &str) -> (String, Origin) {
        match self.values.get(name) {
            Some((value, origin)) => (value.clone(), origin.clone()),
            None => (default.to_owned(), Origin::Default),
        }
    }

    fn show(&mut self, name: &str, value: String, origin: Origin) {
        self.shown.push(Shown {
            name: name.to_owned(),
            value,
            origin,
        });
    }

    fn complain(&mut self, name: &str, origin: &Origin, what: &str) {
        self.problems.push(format!("{origin}: {name} {what}"));
    }
}

fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || name.starts_with(SECRET) || name.starts_with(VARIABLE)
}

fn unknown(place: &str, name: &str) -> String {
    let nearest = NAMES
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    let next = match nearest {
        Some((_, known)) => format!("did you mean {known}?"),
        None => "remove it; docs/operations.md lists all settings".to_owned(),
    };
    format!("{place}: {} is not a setting; {next}", short(name))
}

/// Whether an address may be spoken to: encrypted, or this host's own.
pub(crate) fn check_url(text: &str) -> Result<(), String> {
    let url = Url::parse(text)
        .map_err(|why| format!("is not an address ({why}); write it like https://host/path"))?;
    match url.scheme() {
        "https" | "wss" => Ok(()),
        "http" | "ws" if is_loopback(&url) => Ok(()),
        "http" | "ws" => Err(
            "is not encrypted, and that is for this host alone; write https:// (or use 127.0.0.1)"
                .to_owned(),
        ),
        _ => Err("is no web address; write it like https://host/path".to_owned()),
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn without_password(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if url.password().is_some() => match url.set_password(Some("redacted")) {
            Ok(()) => url.to_string(),
            Err(()) => "set".to_owned(),
        },
        Ok(url) if url.query().is_some_and(|query| query.contains("password")) => "set".to_owned(),
        _ => address.to_owned(),
    }
}

/// As typed, but never a screenful: the value may be anything.
fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    let clean = text.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut shown: String = clean.take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        shown.push('…');
    }
    shown
}
