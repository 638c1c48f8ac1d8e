//! The freezes of a runbook.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::at::At;
use super::diagnostic::Diagnostic;
use super::project::Known;
use super::{people, raw, rule, window};
use crate::domain::{CommandName, Commands, Freeze, FreezeSpan};

/// Reads them; pushes every mistake.
pub(crate) fn read_all(
    runbook: &raw::Runbook,
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Vec<Freeze> {
    let freezes = runbook.freezes.iter().zip(at.items());
    freezes
        .filter_map(|(raw, at)| read(raw, runbook, at, known, notes))
        .collect()
}

fn read(
    raw: &raw::Freeze,
    runbook: &raw::Runbook,
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Freeze> {
    let environments = raw
        .environments
        .as_ref()
        .map(|names| rule::environments(&names.0, runbook, at.get("in"), notes));
    let unless = raw.unless.as_ref().map_or_else(Vec::new, |who| {
        rule::who(&who.0, at.get("unless"), known.people, notes)
    });
    let except = except(raw, at, known, notes);
    Some(Freeze {
        span: span(raw, at, notes)?,
        environments,
        reason: raw.reason.0.trim().to_owned(),
        except,
        unless,
        defined: at.head().file_line(),
    })
}

fn except(
    raw: &raw::Freeze,
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> BTreeSet<CommandName> {
    let at = at.get("except");
    let named = raw
        .except
        .as_ref()
        .map(|words| rule::commands(&words.0, at, known, notes));
    match named.flatten() {
        Some(Commands::Named(names)) => names,
        Some(Commands::Reads | Commands::All) => {
            let message = "`except` names commands";
            let hint = "what only reads is never frozen; a freeze without anything frozen is none";
            notes.push(at.error(message).hint(hint));
            BTreeSet::new()
        }
        None => BTreeSet::new(),
    }
}

fn span(raw: &raw::Freeze, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<FreezeSpan> {
    match (&raw.from, &raw.until, &raw.when) {
        (None, None, Some(when)) => {
            window::read(&when.0, at.get("when"), notes).map(FreezeSpan::Weekly)
        }
        (Some(from), Some(until), None) => {
            let (from, until) = (
                moment(&from.0, at.get("from"), notes)?,
                moment(&until.0, at.get("until"), notes)?,
            );
            if from >= until {
                let message = "this freeze ends before it begins";
                notes.push(
                    at.get("until")
                        .error(message)
                        .hint("swap `from` and `until`"),
                );
                return None;
            }
            Some(FreezeSpan::Once { from, until })
        }
        _ => {
            let message = "a freeze has `from` and `until`, or `when`";
            let hint = "such as `from: 2026-12-23 18:00 Europe/Berlin` or `when: fri 16:00-24:00 Europe/Berlin`";
            notes.push(at.head().error(message).hint(hint));
            None
        }
    }
}

/// Reads `2026-12-23 18:00 Europe/Berlin` or an RFC 3339 time. A local time that clocks show twice is the first, one that
/// they leave out is when they are put forward.
fn moment(text: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<Timestamp> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(exact);
    }
    let local = text.rsplit_once(' ').and_then(|(local, zone)| {
        let local = local.trim().parse::<jiff::civil::DateTime>().ok()?;
        Some((local, zone))
    });
    let Some((local, zone)) = local else {
        let message = format!("`{text}` is no date with a time and a zone");
        notes.push(
            at.error(message)
                .hint("write \"2026-12-23 18:00 Europe/Berlin\""),
        );
        return None;
    };
    let zone = people::zone(zone, at, notes)?;
    zone.to_ambiguous_timestamp(local).compatible().ok()
}
