//! Who is on call, and people who are called, as the runbooks' own escalations have it.

use std::time::Duration;

use jiff::Timestamp;

use super::gallery::{Scene, Shown};
use crate::catalog::Loaded;
use crate::domain::{
    About, InboundKey, Message, Page, PageId, PageState, Platform, Reach, Run, RunId, render,
};

/// The scenes of the project with the longest escalation; without one nobody is called.
pub(super) fn of_calls(loaded: &Loaded, run: &Run, now: Timestamp) -> Vec<Scene> {
    let catalog = &loaded.catalog;
    let projects = catalog.projects.values();
    let Some(project) = projects.max_by_key(|it| it.escalation.len()) else {
        return Vec::new();
    };
    let known = &catalog.people.rotations;
    let named = project.rotations().into_iter();
    let rotations: Vec<_> = named.filter_map(|name| known.get_key_value(name)).collect();
    let mut scenes = vec![scene(
        "who is on call",
        vec![render::on_call(&rotations, now)],
    )];
    let key = InboundKey::new(&["preview", "page"]);
    let page = Page {
        id: PageId::of_inbound(&key),
        reference: RunId::of_inbound(&key).reference(4),
        project: project.name.clone(),
        about: About::Words("checkout is down".to_owned()),
        by: run.requester.clone(),
        places: vec![run.place.clone()],
        levels: project.escalation.clone(),
        called: 0,
        earlier: Duration::ZERO,
        state: PageState::Calling,
        began_at: now,
    };
    let reach = Reach {
        people: &catalog.people,
        spoken: &[Platform::Slack, Platform::Discord, Platform::Console],
    };
    let Some(fired) = page.call_next(reach, now) else {
        return scenes;
    };
    let in_chat = fired
        .calls
        .iter()
        .filter_map(|(_, posting)| posting.as_ref());
    let direct = in_chat.clone().find(|it| it.to != run.place);
    let thread = in_chat.chain(&fired.postings).find(|it| it.to == run.place);
    let told = direct.into_iter().chain(thread);
    scenes.push(scene("a page", told.map(|it| it.message.clone()).collect()));
    let answered = fired
        .calls
        .first()
        .and_then(|(call, _)| call.persons.first());
    scenes.extend(answered.map(|person| {
        let told = render::page_acknowledged(&fired.page, person, now);
        scene("a page is answered", vec![told])
    }));
    let handover = render::Handover {
        project,
        rotations,
        since: now,
        open: vec![run.clone()],
        runs: Vec::new(),
        pages: vec![fired.page],
    };
    scenes.push(scene(
        "a shift is handed over",
        vec![render::handover(&handover, now)],
    ));
    scenes
}

fn scene(name: &'static str, shown: Vec<Message>) -> Scene {
    Scene {
        name,
        shown: shown.into_iter().map(Shown::Message).collect(),
    }
}
