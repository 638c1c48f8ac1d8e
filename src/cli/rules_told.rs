//! Changed rules are told where their project is talked about, and stand in its timeline.

use jiff::Timestamp;
use tracing::warn;

use crate::domain::{
    Catalog, Fact, Message, Place, Platform, Posting, PostingKind, ProjectName, render,
    rules_changed, rules_said,
};
use crate::store::{RulesTold, Store, StoreError};

/// Two replicas that start at the same time meet once.
const TRIES: usize = 3;

/// Takes the catalog's rules for known, records what is new in them and tells the projects' channels on the platforms that
/// are served here. Where nothing was ever told, as in a new installation, all of it is known already.
///
/// `before`: the catalog until now, which knows the channels of a project that is gone.
pub(super) async fn tell(
    store: &Store,
    (before, after): (Option<&Catalog>, &Catalog),
    served: &[Platform],
    now: Timestamp,
) {
    for _ in 0..TRIES {
        match tell_once(store, (before, after), served, now).await {
            // Another replica was first: what is left to tell is looked for again.
            Err(StoreError::Conflict(_)) => {}
            Err(why) => return warn!("changed rules are not told: {why}"),
            Ok(()) => return,
        }
    }
}

async fn tell_once(
    store: &Store,
    (before, after): (Option<&Catalog>, &Catalog),
    served: &[Platform],
    now: Timestamp,
) -> Result<(), StoreError> {
    let told = store.rules_told().await?;
    if told.revision.as_ref() == Some(&after.revision) {
        return Ok(());
    }
    let rules = rules_said(after);
    let changed = match told.revision {
        Some(_) => rules_changed(&told.rules, &rules),
        None => Vec::new(),
    };
    let changed = changed.into_iter().map(|(project, changes)| {
        let message = render::rules_changed(&project, &after.revision, &changes);
        let known = [Some(after), before].into_iter().flatten();
        let mut known = known.filter(|it| it.projects.contains_key(&project));
        let places = known.next().map(|known| places(&project, known));
        let places = places.unwrap_or_default().into_iter();
        let postings = places
            .filter(|place| served.contains(&place.platform))
            .map(|to| answer(to, message.clone()));
        let postings = postings.collect();
        let fact = Fact::RulesChanged {
            project,
            revision: after.revision.clone(),
            changes,
        };
        (fact, postings)
    });
    let changed = changed.collect();
    let known = RulesTold {
        revision: Some(after.revision.clone()),
        rules,
    };
    store
        .record_rules_told(told.revision, known, changed, now)
        .await
}

fn answer(to: Place, message: Message) -> Posting {
    Posting {
        to,
        kind: PostingKind::Answer,
        run: None,
        message,
    }
}

/// Where a project is talked about, in order. An id alone does not say its space; where a mirror does, it is taken from there.
fn places(project: &ProjectName, catalog: &Catalog) -> Vec<Place> {
    let mirrors = catalog.projects.get(project);
    let mirrors = mirrors.map(|it| it.mirrors.as_slice()).unwrap_or_default();
    let mut channels: Vec<&String> = catalog
        .channels
        .iter()
        .filter(|(_, of)| *of == project)
        .map(|(channel, _)| channel)
        .collect();
    channels.sort_unstable();
    let mut places: Vec<Place> = channels
        .into_iter()
        .filter_map(|channel| {
            let mirrored = mirrors.iter().find(|place| place.channel == *channel);
            mirrored.cloned().or_else(|| {
                Some(Place {
                    platform: platform_of(channel, project)?,
                    space: String::new(),
                    channel: channel.clone(),
                    thread: None,
                })
            })
        })
        .collect();
    let elsewhere = mirrors.iter().filter(|mirror| {
        let channel = &mirror.channel;
        !catalog.channels.contains_key(channel)
    });
    places.extend(elsewhere.cloned());
    places
}

/// The platform whose ids look so: `C0SHOP` is Slack's, a long number Discord's, the project's own name the console's.
fn platform_of(channel: &str, project: &ProjectName) -> Option<Platform> {
    let all = |fits: fn(char) -> bool| channel.chars().all(fits);
    if channel == project.as_str() {
        return Some(Platform::Console);
    }
    if all(|c| c.is_ascii_digit()) {
        return Some(Platform::Discord);
    }
    let slack =
        channel.starts_with(['C', 'G']) && all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    slack.then_some(Platform::Slack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channels_id_says_its_platform() {
        let shop = "shop".parse().unwrap();
        for (channel, platform) in [
            ("shop", Some(Platform::Console)),
            ("C0SHOP", Some(Platform::Slack)),
            ("381870553235193857", Some(Platform::Discord)),
            ("lab", None),
        ] {
            assert_eq!(platform_of(channel, &shop), platform, "{channel}");
        }
    }

    #[test]
    fn each_channel_is_told_once_with_the_space_that_a_mirror_names() {
        let shop: ProjectName = "shop".parse().unwrap();
        let mut catalog = Catalog::default();
        for channel in ["shop", "C1", "C2", "odd"] {
            catalog.channels.insert(channel.to_owned(), shop.clone());
        }
        let told: Vec<String> = places(&shop, &catalog)
            .into_iter()
            .map(|place| format!("{:?} {}", place.platform, place.channel))
            .collect();
        assert_eq!(told, ["Slack C1", "Slack C2", "Console shop"]);
    }
}
