//! Who is who now: the people of the files, the accounts that they linked, whom platforms have in their groups, and the
//! shifts that were arranged in chat.
//!
//! Everybody reads one catalog, made anew when one of them changes: nobody pays for it by the request. What was not
//! heard of for too long counts no more: a platform that is silent has nobody in its groups.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::sleep_or;
use crate::catalog::CurrentCatalog;
use crate::domain::{
    Catalog, Cover, Link, People, PersonId, Platform, PlatformGroup, RotationName,
};
use crate::store::Store;

/// How often platforms are asked again.
const REFRESH_EVERY: Duration = Duration::from_mins(4);
/// How often after a failure.
const RETRY_EVERY: Duration = Duration::from_secs(30);
/// How long one round of questions may take.
const REFRESH_WITHIN: Duration = Duration::from_mins(4);
/// How long what a platform said counts.
const HOLDS_FOR: Duration = Duration::from_mins(15);
/// How long a risky command waits for the platforms. Below the two seconds after which somebody would think that nothing
/// was heard.
const ANEW_WITHIN: Duration = Duration::from_millis(1_500);
/// How often links are read, and files are looked at for groups that were not asked for yet.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The shortest pause between two reads of the links, however much is committed.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// How long links that can't be read count.
const LINKS_HOLD_FOR: Duration = Duration::from_mins(1);
/// How long a start waits for the platforms before it dispatches without them.
const FIRST_WITHIN: Duration = Duration::from_secs(2);

/// What a platform says of its groups: for each the names of its members among those that were asked about, or why that
/// is not known. A group that is missing counts as not known.
pub type Said = BTreeMap<String, Result<BTreeSet<String>, String>>;

/// Asks one platform who is in its groups.
///
/// Cancel safe, and always under a time limit of the caller's: a dropped question was not asked.
#[async_trait]
pub trait Memberships: Send + Sync {
    /// Which platform.
    fn platform(&self) -> Platform;

    /// Who of these accounts is in which of these groups.
    ///
    /// `groups` holds ids of [`PlatformGroup`]: `S…` on Slack, `GUILD/ROLE` on Discord. `accounts` holds names as
    /// `people.yaml` has them, `ID` or `SPACE/ID`; the answer repeats them as they were given. Both are non-empty. For a
    /// risky command `accounts` are those of the few who take part, else those of everybody.
    async fn fetch(&self, groups: &BTreeSet<String>, accounts: &BTreeSet<String>) -> Said;
}

/// Who is who now. Shared by whoever dispatches and by the loops that keep it fresh.
pub struct Roster {
    files: CurrentCatalog,
    view: CurrentCatalog,
    store: Store,
    sources: Vec<Arc<dyn Memberships>>,
    spoken: BTreeSet<Platform>,
    known: Mutex<Known>,
}

/// What is known beside the files.
#[derive(Default)]
struct Known {
    links: Vec<Link>,
    links_read: Option<Instant>,
    /// They end by themselves: what can't be read again counts on.
    covers: Vec<(RotationName, Cover)>,
    heard: HashMap<PlatformGroup, Heard>,
    /// When the view has to be made anew because something in it is too old; `None`: never.
    holds_until: Option<Instant>,
}

struct Heard {
    accounts: BTreeSet<String>,
    asked_at: Instant,
}

/// People for one decision, for which platforms were asked anew.
#[derive(Debug)]
pub struct Anew {
    /// The catalog with these people.
    pub catalog: Arc<Catalog>,
    /// Groups whose platform did not say in time who is in them: nobody, for this decision.
    pub unsaid: Vec<PlatformGroup>,
}

impl Roster {
    /// `files` is what was read, `view` what everybody is to read. `spoken` are the platforms that direct messages reach.
    pub fn new(
        files: CurrentCatalog,
        view: CurrentCatalog,
        store: Store,
        sources: Vec<Arc<dyn Memberships>>,
        spoken: BTreeSet<Platform>,
    ) -> Self {
        let known = Mutex::default();
        Self {
            files,
            view,
            store,
            sources,
            spoken,
            known,
        }
    }

    /// Whether a direct message reaches accounts of this platform.
    pub fn reaches(&self, platform: Platform) -> bool {
        self.spoken.contains(&platform)
    }

    /// Takes care that nothing in the view is too old.
    pub fn keep_young(&self) {
        let known = self.lock();
        if known
            .holds_until
            .is_some_and(|until| Instant::now() >= until)
        {
            self.make_view(known);
        }
    }

    /// Takes in what the files say now.
    pub fn files_changed(&self) {
        self.make_view(self.lock());
    }

    /// Reads the links, and the shifts that were arranged. When that fails, those that are known count a while longer.
    pub async fn read_links(&self) -> bool {
        let began = Instant::now();
        let read = match self.store.links().await {
            Ok(linked) => self.store.covers().await.map(|covers| (linked, covers)),
            Err(why) => Err(why),
        };
        match read {
            Ok((linked, covers)) => {
                let links: Vec<Link> = linked.into_iter().map(|linked| linked.link).collect();
                let mut known = self.lock();
                known.links_read = Some(began);
                known.links = links;
                known.covers = covers.known;
                self.make_view(known);
                true
            }
            // `/readyz` says when the store is not well.
            Err(_) => false,
        }
    }

    /// Before anything is dispatched: a restart must not make a stranger of anybody.
    pub async fn begin(&self, cancel: &CancellationToken) {
        while !self.read_links().await {
            sleep_or(cancel, LOOK_AT_MOST_EVERY).await;
            if cancel.is_cancelled() {
                return;
            }
        }
        let wanted = self.wanted();
        if wanted.is_empty() {
            return;
        }
        if tokio::time::timeout(FIRST_WITHIN, self.refresh(&wanted))
            .await
            .is_err()
        {
            info!("platforms have not said yet who is in their groups");
        }
    }

    /// Keeps links and groups fresh until cancelled.
    pub async fn run(&self, cancel: CancellationToken) {
        tokio::join!(self.follow_links(&cancel), self.follow_groups(&cancel));
    }

    async fn follow_links(&self, cancel: &CancellationToken) {
        let mut changes = self.store.changes();
        while !cancel.is_cancelled() {
            changes.mark_unchanged();
            self.read_links().await;
            sleep_or(cancel, LOOK_AT_MOST_EVERY).await;
            tokio::select! {
                () = cancel.cancelled() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn follow_groups(&self, cancel: &CancellationToken) {
        let mut told = false;
        let mut last: Option<(Wanted, Instant, bool)> = None;
        while !cancel.is_cancelled() {
            let wanted = self.wanted();
            let due = match &last {
                None => true,
                Some((before, at, well)) => {
                    let pause = if *well { REFRESH_EVERY } else { RETRY_EVERY };
                    *before != wanted || at.elapsed() >= pause
                }
            };
            if due && !wanted.is_empty() {
                let began = Instant::now();
                let asking = tokio::time::timeout(REFRESH_WITHIN, self.refresh(&wanted));
                let Some(asked) = cancel.run_until_cancelled(asking).await else {
                    return;
                };
                let failed = asked.unwrap_or_else(|_| vec!["no answer in time".to_owned()]);
                if let Some(first) = failed.first().filter(|_| !told) {
                    warn!(
                        "who is in {} groups of platforms is not known: {first}; after {} minutes nobody is",
                        failed.len(),
                        HOLDS_FOR.as_secs() / 60
                    );
                }
                told = !failed.is_empty();
                last = Some((wanted, began, failed.is_empty()));
            }
            sleep_or(cancel, LOOK_EVERY).await;
        }
    }

    /// Asks the platforms of a risky command who of these persons is in these groups, and answers the people as they are
    /// then. Takes no longer than [`ANEW_WITHIN`].
    pub async fn anew(
        &self,
        groups: &BTreeSet<PlatformGroup>,
        persons: &BTreeSet<PersonId>,
    ) -> Anew {
        let mut catalog = Catalog::clone(&self.files.load());
        let mut people = {
            let known = self.lock();
            take_links(&mut catalog.people, &known, Instant::now());
            catalog.people.take_covers(&known.covers);
            catalog.people.clone()
        };
        let wanted = Wanted::of(groups, |platform| {
            people.account_names(platform, Some(persons))
        });
        let said = self.ask(&wanted, ANEW_WITHIN).await;
        let known = self.lock();
        let now = Instant::now();
        for (group, heard) in &known.heard {
            if now.duration_since(heard.asked_at) < HOLDS_FOR {
                let asked = wanted.accounts_if_asked(group);
                let others = heard.accounts.iter().map(String::as_str);
                people.join(group, others.filter(|name| !asked.contains(*name)));
            }
        }
        drop(known);
        let mut unsaid = Vec::new();
        for (group, said) in said {
            match said {
                Ok(names) => people.join(&group, names.iter().map(String::as_str)),
                Err(why) => {
                    warn!("who is in {group} is not known for a risky command: {why}");
                    unsaid.push(group);
                }
            }
        }
        catalog.people = people;
        Anew {
            catalog: Arc::new(catalog),
            unsaid,
        }
    }

    /// Asks every platform for all of it; answers why some of it is not known.
    async fn refresh(&self, wanted: &Wanted) -> Vec<String> {
        let asked_at = Instant::now();
        let said = self.ask(wanted, REFRESH_WITHIN).await;
        let mut failed = Vec::new();
        let mut known = self.lock();
        known.heard.retain(|group, _| wanted.has(group));
        for (group, said) in said {
            let platform = group.platform.as_str();
            let result = if said.is_ok() { "heard" } else { "failed" };
            metrics::counter!("midwatch_memberships_total", "platform" => platform, "result" => result).increment(1);
            match said {
                Ok(accounts) => {
                    let heard = Heard { accounts, asked_at };
                    known.heard.insert(group, heard);
                }
                Err(why) => failed.push(format!("{group}: {why}")),
            }
        }
        self.make_view(known);
        failed
    }

    /// One answer for each wanted group.
    async fn ask(
        &self,
        wanted: &Wanted,
        within: Duration,
    ) -> Vec<(PlatformGroup, Result<BTreeSet<String>, String>)> {
        let platforms = wanted.0.iter().map(async |(platform, (groups, accounts))| {
            let source = self.sources.iter().find(|it| it.platform() == *platform);
            let mut said = match source {
                // Whoever has no account there is in no group there.
                _ if accounts.is_empty() => {
                    let nobody = |group: &String| (group.clone(), Ok(BTreeSet::new()));
                    groups.iter().map(nobody).collect()
                }
                None => Said::new(),
                Some(source) => tokio::time::timeout(within, source.fetch(groups, accounts))
                    .await
                    .unwrap_or_default(),
            };
            let unsaid = if source.is_some() {
                format!("no answer within {within:?}")
            } else {
                format!("this midwatch does not speak with {platform}")
            };
            groups
                .iter()
                .map(|group| {
                    let said = said.remove(group).unwrap_or_else(|| Err(unsaid.clone()));
                    // Whatever else it says, of others was not asked.
                    let said = said.map(|names| names.intersection(accounts).cloned().collect());
                    let group = PlatformGroup {
                        platform: *platform,
                        id: group.clone(),
                    };
                    (group, said)
                })
                .collect::<Vec<_>>()
        });
        join_all(platforms).await.into_iter().flatten().collect()
    }

    /// All groups that the files name, with everybody's accounts.
    fn wanted(&self) -> Wanted {
        let view = self.view.load();
        let groups: BTreeSet<PlatformGroup> = view
            .people
            .platform_groups
            .values()
            .flatten()
            .cloned()
            .collect();
        Wanted::of(&groups, |platform| {
            view.people.account_names(platform, None)
        })
    }

    /// Under the lock, so that an older view never replaces a younger one.
    fn make_view(&self, mut known: MutexGuard<'_, Known>) {
        let files = self.files.load_full();
        let now = Instant::now();
        let plain = known.links.is_empty()
            && known.covers.is_empty()
            && !files.people.has_platform_groups();
        if plain {
            known.holds_until = None;
            if !Arc::ptr_eq(&self.view.load(), &files) {
                self.view.store(files);
            }
            return;
        }
        let mut people = files.people.clone();
        take_links(&mut people, &known, now);
        people.take_covers(&known.covers);
        let mut until = known
            .links_read
            .filter(|_| !known.links.is_empty())
            .map(|read| read + LINKS_HOLD_FOR)
            .filter(|until| *until > now);
        for (group, heard) in &known.heard {
            let ends = heard.asked_at + HOLDS_FOR;
            if ends > now {
                people.join(group, heard.accounts.iter().map(String::as_str));
                until = Some(until.map_or(ends, |until| until.min(ends)));
            }
        }
        known.holds_until = until;
        self.view.store(Arc::new(Catalog {
            people,
            ..Catalog::clone(&files)
        }));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_links(people: &mut People, known: &Known, now: Instant) {
    let young = |read: Instant| now.duration_since(read) < LINKS_HOLD_FOR;
    if known.links_read.is_some_and(young) {
        people.take_links(&known.links);
    }
}

/// What is asked for: by platform the groups, and the accounts about which they are asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted(BTreeMap<Platform, (BTreeSet<String>, BTreeSet<String>)>);

impl Wanted {
    fn of(
        groups: &BTreeSet<PlatformGroup>,
        accounts: impl Fn(Platform) -> BTreeSet<String>,
    ) -> Self {
        let mut wanted = Self::default();
        for group in groups {
            let entry = wanted.0.entry(group.platform);
            let (ids, _) = entry.or_insert_with(|| (BTreeSet::new(), accounts(group.platform)));
            ids.insert(group.id.clone());
        }
        wanted
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, group: &PlatformGroup) -> bool {
        self.0
            .get(&group.platform)
            .is_some_and(|(ids, _)| ids.contains(&group.id))
    }

    /// The accounts about which this group is asked.
    fn accounts_if_asked(&self, group: &PlatformGroup) -> BTreeSet<&str> {
        let asked = self.0.get(&group.platform);
        let asked = asked.filter(|(ids, _)| ids.contains(&group.id));
        asked
            .into_iter()
            .flat_map(|(_, accounts)| accounts.iter().map(String::as_str))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{GroupName, Person, PersonId};
    use crate::store::StoreSettings;

    /// Everybody is in each of its groups.
    struct Everybody;

    #[async_trait]
    impl Memberships for Everybody {
        fn platform(&self) -> Platform {
            Platform::Slack
        }

        async fn fetch(&self, groups: &BTreeSet<String>, accounts: &BTreeSet<String>) -> Said {
            let said = |group: &String| (group.clone(), Ok(accounts.clone()));
            groups.iter().map(said).collect()
        }
    }

    fn people() -> People {
        let ana: PersonId = "ana".parse().expect("a name");
        let mut people = People::default();
        people
            .accounts
            .insert("slack:U0ANA".to_owned(), ana.clone());
        let person = Person {
            hours: None,
            second_factor: None,
            name: "Ana".to_owned(),
            accounts: [(Platform::Slack, vec!["U0ANA".to_owned()])].into(),
        };
        people.persons.insert(ana, person);
        people
    }

    async fn roster(folder: &tempfile::TempDir, people: People) -> Roster {
        let settings = StoreSettings {
            url: format!("sqlite:{}", folder.path().join("midwatch.db").display()),
            data: folder.path().to_owned(),
        };
        let store = Store::open(&settings, Timestamp::UNIX_EPOCH).await.unwrap();
        let catalog = Arc::new(Catalog {
            people,
            ..Catalog::default()
        });
        let files = Arc::new(ArcSwap::new(Arc::clone(&catalog)));
        let view = Arc::new(ArcSwap::new(catalog));
        let sources: Vec<Arc<dyn Memberships>> = vec![Arc::new(Everybody)];
        Roster::new(files, view, store, sources, BTreeSet::new())
    }

    #[tokio::test]
    async fn what_a_platform_said_counts_for_fifteen_minutes() {
        let folder = tempfile::tempdir().unwrap();
        let mut people = people();
        let team: GroupName = "team".parse().unwrap();
        let theirs = PlatformGroup::parse(Platform::Slack, "S0SHOP").unwrap();
        people.platform_groups.insert(team.clone(), [theirs].into());
        let roster = roster(&folder, people).await;
        let members = || {
            roster.keep_young();
            let view = roster.view.load();
            view.people.groups.get(&team).map_or(0, BTreeSet::len)
        };
        assert_eq!(members(), 0);
        tokio::time::pause();
        assert!(roster.refresh(&roster.wanted()).await.is_empty());
        assert_eq!(members(), 1);
        tokio::time::advance(HOLDS_FOR.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert_eq!(members(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(members(), 0, "silence means no");
        assert!(roster.refresh(&roster.wanted()).await.is_empty());
        assert_eq!(members(), 1);
    }

    #[tokio::test]
    async fn links_that_can_not_be_read_any_more_count_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let roster = roster(&folder, people()).await;
        let link = Link {
            account: crate::domain::Account::parse(Platform::Discord, "803").unwrap(),
            person: "ana".parse().unwrap(),
        };
        tokio::time::pause();
        {
            let mut known = roster.lock();
            known.links = vec![link.clone()];
            known.links_read = Some(Instant::now());
            roster.make_view(known);
        }
        let speaks = || {
            roster.keep_young();
            roster.view.load().people.owner(&link.account).is_some()
        };
        tokio::time::advance(LINKS_HOLD_FOR.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert!(speaks());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!speaks());
    }

    #[tokio::test]
    async fn without_groups_of_platforms_and_links_everybody_reads_the_files_catalog() {
        let folder = tempfile::tempdir().unwrap();
        let roster = roster(&folder, people()).await;
        roster.files_changed();
        assert!(Arc::ptr_eq(&roster.view.load(), &roster.files.load()));
        assert!(roster.lock().holds_until.is_none());
    }
}
