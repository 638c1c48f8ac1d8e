//! User groups: who is in them, as `usergroups.users.list` says it, twenty times a minute.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{FakeSlack, State, history};

pub(super) const METHOD: &str = "usergroups.users.list";
const CALLS_A_MINUTE: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Groups {
    members: BTreeMap<String, BTreeSet<String>>,
    called: VecDeque<Instant>,
    /// Answers nothing about them, as a Slack in trouble.
    silent: bool,
}

pub(super) fn list_users(state: &mut State, body: &Value) -> Result<Value, &'static str> {
    if state.groups.silent {
        return Err("internal_error");
    }
    history::needs(state, "usergroups:read")?;
    let group = body["usergroup"].as_str().unwrap_or_default();
    let members = state.groups.members.get(group).ok_or("no_such_subteam")?;
    Ok(json!({ "users": members }))
}

/// How long to wait, when it was called too often.
pub(super) fn too_fast(state: &mut State, method: &str) -> Option<Duration> {
    if method != METHOD {
        return None;
    }
    let now = Instant::now();
    let called = &mut state.groups.called;
    while called.front().is_some_and(|at| now - *at >= MINUTE) {
        called.pop_front();
    }
    if called.len() < CALLS_A_MINUTE {
        called.push_back(now);
        return None;
    }
    let wait = MINUTE.checked_sub(now - called[0]).unwrap_or_default();
    Some(Duration::from_secs(wait.as_secs() + 1))
}

impl FakeSlack {
    /// These people are in the user group from now on, and nobody else.
    pub(crate) fn set_group(&self, group: &str, members: &[&str]) {
        let members = members.iter().map(ToString::to_string).collect();
        let mut state = self.state();
        state.groups.members.insert(group.to_owned(), members);
    }

    /// Whether it fails to say who is in user groups.
    pub(crate) fn hide_groups(&self, hidden: bool) {
        self.state().groups.silent = hidden;
    }
}
