//! What whoever takes over must know.

use jiff::{SignedDuration, Timestamp};

use super::Walk;
use crate::domain::{Message, Project, ProjectName, Refusal, Rotation, RotationName, render};
use crate::store::{RunFilter, StoreError};

/// How far back is looked at the most: a shift that lasts longer is not handed over from its beginning.
const FURTHEST: SignedDuration = SignedDuration::from_hours(8 * 24);
/// How far back is looked where no rotation says since when somebody is on call.
const USUAL: SignedDuration = SignedDuration::from_hours(24);
/// How many runs and pages are looked through.
const MOST: u32 = 200;

impl Walk<'_> {
    /// What is open, what happened since the present shift began, what to watch.
    pub(super) async fn hand_over(&self, project: &ProjectName) -> Result<Message, StoreError> {
        let Some(project) = self.catalog.projects.get(project) else {
            return Ok(Refusal::Stranger.message());
        };
        let rotations = self.rotations_of(project);
        let since = self.shift_began(&rotations);
        let store = &self.dispatch.store;
        let filter = |open| RunFilter {
            project: Some(project.name.clone()),
            open,
            limit: MOST,
        };
        let open = store.runs(&filter(true)).await?.known;
        let mut runs = store.runs(&filter(false)).await?.known;
        runs.retain(|run| run.created_at >= since);
        let mut pages = store.pages_since(&project.name, since, MOST).await?;
        let unanswered = store.open_pages(Some(&project.name), MOST).await?;
        pages.extend(unanswered.into_iter().filter(|it| it.page.began_at < since));
        let told = render::Handover {
            project,
            rotations,
            since,
            open,
            runs,
            pages: pages.into_iter().map(|it| it.page).collect(),
        };
        Ok(render::handover(&told, self.now))
    }

    fn rotations_of(&self, project: &Project) -> Vec<(&RotationName, &Rotation)> {
        let known = &self.catalog.people.rotations;
        let named = project.rotations().into_iter();
        named.filter_map(|name| known.get_key_value(name)).collect()
    }

    /// Since when whoever is on call is: of the level that is called first.
    fn shift_began(&self, rotations: &[(&RotationName, &Rotation)]) -> Timestamp {
        let ago = |span| self.now.saturating_sub(span).unwrap_or(Timestamp::MIN);
        let levels = rotations.iter().flat_map(|(_, rotation)| {
            let levels = rotation.levels.keys();
            levels.map(move |level| (*rotation, level))
        });
        let first = levels.min_by_key(|(_, level)| level.as_str() != "oncall");
        let shifts = first.map(|(rotation, level)| rotation.shifts(level, ago(FURTHEST), self.now));
        let began = shifts.and_then(|shifts| shifts.last().map(|shift| shift.from));
        // Whoever came a minute ago wants to know what happened before.
        began.unwrap_or_else(|| ago(USUAL)).min(ago(USUAL))
    }
}
