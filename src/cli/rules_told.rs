//! Changed rules are told where their project is talked about, and stand in its timeline.

use jiff::Timestamp;
use tracing::warn;

use crate::domain::{
    Catalog, Fact, Place, Platform, Posting, PostingKind, ProjectName, RuleChange, render,
    rules_changed,
};
use crate::store::Store;

/// Records what changed in the rules, project by project, and tells their channels on the platforms that are served here.
pub(super) async fn tell(
    store: &Store,
    (before, after): (&Catalog, &Catalog),
    served: &[Platform],
    now: Timestamp,
) {
    for (project, changes) in rules_changed(before, after) {
        let postings = postings(&project, &changes, (before, after), served);
        let fact = Fact::RulesChanged {
            project: project.clone(),
            revision: after.revision.clone(),
            changes,
        };
        if let Err(why) = store.record_rules_changed(fact, postings, now).await {
            warn!(
                project = project.as_str(),
                "changed rules are not told: {why}"
            );
        }
    }
}

fn postings(
    project: &ProjectName,
    changes: &[RuleChange],
    (before, after): (&Catalog, &Catalog),
    served: &[Platform],
) -> Vec<Posting> {
    let message = render::rules_changed(project, &after.revision, changes);
    // Of a project that is gone the catalog before knows the channels.
    let known = if after.projects.contains_key(project) {
        after
    } else {
        before
    };
    let places = places(project, known)
        .into_iter()
        .filter(|place| served.contains(&place.platform));
    let posting = |to| Posting {
        to,
        kind: PostingKind::Answer,
        run: None,
        message: message.clone(),
    };
    places.map(posting).collect()
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
