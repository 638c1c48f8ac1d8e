//! Who is on call, and people who are called, as the runbooks' own escalations have it.

use std::time::Duration;

use jiff::Timestamp;

use super::gallery::{Scene, Shown};
use crate::catalog::Loaded;
use crate::domain::{
    About, Fired, Glass, InboundKey, Message, Page, PageId, PageState, Place, Platform, Project,
    Reach, Run, RunId, Who, render,
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
    scenes.push(scene("a page", called(&fired, &run.place)));
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
    scenes.extend(of_glass(project, run, reach, now));
    scenes
}

/// The glass is broken, and whoever owns the project is called at once.
fn of_glass(project: &Project, run: &Run, reach: Reach<'_>, now: Timestamp) -> Option<Scene> {
    let mut broken = run.clone();
    broken.glass = Some(Glass::Unreviewed);
    broken.invocation.glass = true;
    broken.invocation.project = project.name.clone();
    broken.invocation.reason = Some("the sale is down".to_owned());
    let owner = Who::Group(project.owner.clone()?);
    let page = Page::for_glass(&broken, &[owner], project, reach.people)?;
    let fired = page.call_next(reach, now)?;
    let mut shown = vec![render::glass_broken(&broken)];
    shown.extend(called(&fired, &run.place));
    Some(scene("the glass is broken", shown))
}

/// A direct message of it, and what its place shows.
fn called(fired: &Fired, place: &Place) -> Vec<Message> {
    let in_chat = fired.calls.iter();
    let in_chat = in_chat.filter_map(|(_, posting)| posting.as_ref());
    let direct = in_chat.clone().find(|it| it.to != *place);
    let thread = in_chat.chain(&fired.postings).find(|it| it.to == *place);
    let told = direct.into_iter().chain(thread);
    told.map(|it| it.message.clone()).collect()
}

fn scene(name: &'static str, shown: Vec<Message>) -> Scene {
    Scene {
        name,
        shown: shown.into_iter().map(Shown::Message).collect(),
    }
}
