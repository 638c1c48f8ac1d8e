//! Reads the users' folders. The only place in `catalog` that touches the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::diagnostic::{Diagnostic, SourceFile};
use crate::domain::Revision;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// The files of one folder, in order of their names.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// `*.yaml` and `*.yml`.
    pub(crate) yaml: Vec<Arc<SourceFile>>,
    /// `*.md`.
    pub(crate) prose: Vec<Arc<SourceFile>>,
    /// `*.ics`.
    pub(crate) calendars: Vec<Arc<SourceFile>>,
    /// Names, without their endings, of YAML files that could not be read.
    pub(crate) unreadable: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Yaml,
    Prose,
    Calendar,
}

/// Reads a folder; pushes what can't be read.
pub(crate) fn read_folder(folder: &Path, notes: &mut Vec<Diagnostic>) -> Folder {
    let mut read = Folder::default();
    let shown = shown(folder);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            notes.push(
                Diagnostic::about(&shown, format!("the folder can't be read: {error}")).hint(
                    "create it, or say where it is with MIDWATCH_COMMANDS and MIDWATCH_RUNBOOKS",
                ),
            );
            return read;
        }
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        add(&mut read, folder, &path, notes);
    }
    read
}

fn add(read: &mut Folder, folder: &Path, path: &Path, notes: &mut Vec<Diagnostic>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Names with a dot in front are editors' and Kubernetes' own.
    if name.starts_with('.') {
        return;
    }
    let place = format!("{}/{name}", shown(folder));
    if path.is_dir() {
        notes.push(
            Diagnostic::about(&place, "folders in here are not read")
                .warning()
                .hint("move its files up"),
        );
        return;
    }
    let kind = match name.rsplit_once('.') {
        Some((_, "yaml" | "yml")) => Kind::Yaml,
        Some((_, "md")) => Kind::Prose,
        Some((_, "ics")) => Kind::Calendar,
        _ => return,
    };
    let last_folder = folder.file_name().unwrap_or_default().to_string_lossy();
    match read_text(path) {
        Ok(text) => {
            let file = SourceFile::new(place, format!("{last_folder}/{name}"), text);
            match kind {
                Kind::Yaml => read.yaml.push(file),
                Kind::Prose => read.prose.push(file),
                Kind::Calendar => read.calendars.push(file),
            }
        }
        Err(message) => {
            notes.push(Diagnostic::about(&place, message).hint("mend it, or move it away"));
            if kind == Kind::Yaml {
                read.unreadable.push(stem(&name).to_owned());
            }
        }
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path)
        .map_err(|error| format!("the file can't be read: {error}"))?
        .len();
    if size > LARGEST {
        return Err(format!(
            "the file has {size} bytes, and {LARGEST} are read at most"
        ));
    }
    let bytes = fs::read(path).map_err(|error| format!("the file can't be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("the file is not UTF-8: byte {at} is the first that isn't")
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}

/// A file's name without folder and ending.
pub(crate) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn shown(folder: &Path) -> String {
    let text = folder.to_string_lossy();
    let text = text.strip_prefix("./").unwrap_or(&text);
    text.trim_end_matches('/').to_owned()
}

/// Hashes the files and the variables that may stand in them.
pub(crate) fn revision<'a>(
    files: impl Iterator<Item = &'a Arc<SourceFile>>,
    variables: impl Iterator<Item = (&'a String, &'a String)>,
) -> Revision {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update(text.len().to_be_bytes());
        hash.update(text.as_bytes());
    };
    for file in files {
        part(&file.short);
        part(&file.text);
    }
    for (name, value) in variables {
        part(name);
        part(value);
    }
    Revision(data_encoding::HEXLOWER.encode(&hash.finalize()[..6]))
}
