//! The places of a runbook where threads are told too.

use super::at::{At, Spot};
use super::diagnostic::Diagnostic;
use super::raw;
use crate::domain::{Place, Platform};

/// Reads them; pushes every mistake. `channels`: those in which the project is talked about.
pub(crate) fn read_all(
    raw: &[raw::Mirror],
    at: At<'_>,
    channels: &[(String, Spot)],
    notes: &mut Vec<Diagnostic>,
) -> Vec<Place> {
    let mut mirrors: Vec<Place> = Vec::new();
    for (mirror, at) in raw.iter().zip(at.items()) {
        let Some(place) = read(mirror, at, notes) else {
            continue;
        };
        let at = at.get(place.platform.as_str());
        if mirrors.contains(&place) {
            let message = format!(
                "this place stands here twice: {}/{}",
                place.space, place.channel
            );
            notes.push(at.error(message).hint("remove one of them"));
            continue;
        }
        // With several channels the mirror is for what begins in the others; an id alone does not say which platform.
        if let [(only, _)] = channels
            && *only == place.channel
        {
            let message = format!(
                "`{only}` is the only channel of this project: what begins there is not told twice"
            );
            notes.push(at.warning(message).hint(
                "name a channel where others follow; this one shows only what begins elsewhere, such as at the console",
            ));
        }
        mirrors.push(place);
    }
    mirrors
}

fn read(mirror: &raw::Mirror, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<Place> {
    let (platform, text) = match (&mirror.slack, &mirror.discord) {
        (Some(text), None) => (Platform::Slack, text.0.as_str()),
        (None, Some(text)) => (Platform::Discord, text.0.as_str()),
        (given, _) => {
            let how_many = if given.is_some() {
                "two places"
            } else {
                "no place"
            };
            notes.push(at.error(format!("this names {how_many}")).hint(
                "write `{ slack: T0SHOP/C0OPS }` or `{ discord: \"GUILD/CHANNEL\" }`, one item for each place",
            ));
            return None;
        }
    };
    let ids = text.split_once('/');
    let fits = ids.is_some_and(|(space, channel)| match platform {
        Platform::Slack => is_of_slack(space, &['T', 'E']) && is_of_slack(channel, &['C', 'G']),
        Platform::Discord => is_of_discord(space) && is_of_discord(channel),
        Platform::Console | Platform::Api => false,
    });
    let Some((space, channel)) = ids.filter(|_| fits) else {
        let (message, hint) = match platform {
            Platform::Slack => (
                format!("`{text}` is not a workspace and a channel of Slack"),
                "write both ids as WORKSPACE/CHANNEL, such as T0SHOP/C0OPS; the address of the channel in a browser ends with them",
            ),
            Platform::Discord | Platform::Console | Platform::Api => (
                format!("`{text}` is not a guild and a channel of Discord"),
                "write both ids as \"GUILD/CHANNEL\", two long numbers; with developer mode on, the menu of a channel copies its link, which ends with them",
            ),
        };
        notes.push(at.get(platform.as_str()).error(message).hint(hint));
        return None;
    };
    Some(Place {
        platform,
        space: space.to_owned(),
        channel: channel.to_owned(),
        thread: None,
    })
}

fn is_of_slack(id: &str, first: &[char]) -> bool {
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    id.len() > 1 && id.starts_with(first) && id.chars().all(fits)
}

fn is_of_discord(id: &str) -> bool {
    (1..=20).contains(&id.len()) && id.chars().all(|c| c.is_ascii_digit())
}
