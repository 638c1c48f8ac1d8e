//! The store, in memory: what it promises, in the fewest words. Held against the real one by `ground`.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use midwatch::domain::{
    Commitment, Due, Entry, Fact, Frontier, Inbound, InboundKey, NoteSigner, OtherRun, Outcome,
    Place, Posting, PostingKind, Reference, Run, RunEvent, RunId, ThreadLink, apply,
    canonical_json, leaf_hash, next,
};
use midwatch::store::{
    Change, Conclusion, DuePosting, MessageRef, PostingId, Receipt, Standing, Tell,
};

/// The right to work on a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) run: RunId,
    pub(super) fence: u64,
}

pub(super) struct Book {
    /// In order of arrival; the inbound itself is forgotten when it is concluded.
    inbounds: Vec<(InboundKey, Option<Inbound>)>,
    rows: Vec<Row>,
    outbox: Vec<Owed>,
    /// Every posting that was ever owed: its id, kind, run, and channel.
    pub(super) owed: Vec<(PostingId, PostingKind, Option<RunId>, String)>,
    pub(super) entries: Vec<Entry>,
    pub(super) lines: Vec<String>,
    pub(super) tree: Frontier,
    pub(super) signer: NoteSigner,
}

struct Row {
    run: Run,
    lock: Option<String>,
    due_at: Option<i64>,
    fence: u64,
    leased_until: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Sending,
    Done,
}

struct Owed {
    id: i64,
    posting: Posting,
    last: bool,
    state: State,
    version: i64,
    delivered_version: i64,
    message: Option<MessageRef>,
    in_doubt: bool,
    attempts: u32,
    not_before: i64,
}

impl Owed {
    fn is_root(&self) -> bool {
        self.posting.kind == PostingKind::Root
    }

    fn is_line(&self) -> bool {
        matches!(
            self.posting.kind,
            PostingKind::Line { .. } | PostingKind::Output { .. }
        )
    }

    fn shares_thread(&self, other: &Self) -> bool {
        self.posting.run == other.posting.run && self.posting.to == other.posting.to
    }

    fn shares_channel(&self, other: &Self) -> bool {
        let channel = |it: &Self| (it.posting.to.space.clone(), it.posting.to.channel.clone());
        channel(self) == channel(other)
    }

    fn call(&self) -> &'static str {
        match self.posting.kind {
            _ if self.message.is_some() && self.delivered_version == self.version => "read back",
            PostingKind::Root if self.message.is_some() => "edit",
            _ if self.message.is_some() => "file",
            PostingKind::Whisper { .. } | PostingKind::Form { .. } => "post",
            _ if self.in_doubt => "look",
            _ => "post",
        }
    }

    /// The smaller, the sooner.
    fn urgency(&self) -> (u8, i64, i64) {
        let since = if self.call() == "read back" {
            self.not_before
        } else {
            0
        };
        (self.rank(), since, self.id)
    }

    fn rank(&self) -> u8 {
        match self.posting.kind {
            _ if self.call() == "read back" => 4,
            PostingKind::Form { .. } => 0,
            PostingKind::Answer | PostingKind::Whisper { .. } => 1,
            PostingKind::Root if self.message.is_none() => 1,
            _ if self.last => 2,
            _ => 3,
        }
    }
}

fn due_at(run: &Run, now: Timestamp) -> Option<i64> {
    match next(run, now) {
        Due::Nothing => None,
        Due::Wait(until) => Some(until.as_millisecond()),
        // Whatever the clock will show.
        _ => Some(i64::MIN),
    }
}

impl Book {
    pub(super) fn new() -> Self {
        Self {
            inbounds: Vec::new(),
            rows: Vec::new(),
            outbox: Vec::new(),
            owed: Vec::new(),
            entries: Vec::new(),
            lines: Vec::new(),
            tree: Frontier::new(),
            signer: NoteSigner::new("midwatch/sim", &[7; 32]),
        }
    }

    fn append(&mut self, fact: Fact, at: Timestamp) {
        let entry = Entry {
            sequence: self.tree.size(),
            at,
            fact,
        };
        let line = serde_json::to_value(&entry).expect("an entry has only string keys");
        let line = canonical_json(&line);
        self.tree.push(leaf_hash(line.as_bytes()));
        self.lines.push(line);
        self.entries.push(entry);
    }

    pub(super) fn receive(&mut self, inbound: &Inbound) -> Receipt {
        if self.inbounds.iter().any(|(key, _)| *key == inbound.key) {
            return Receipt::Duplicate;
        }
        let hidden = || Commitment("hidden".to_owned());
        let fact = Fact::Received {
            inbound: inbound.key.clone(),
            source: inbound.source,
            platform: inbound.place.platform,
            speaker: hidden(),
            text: hidden(),
        };
        self.append(fact, inbound.received_at);
        self.inbounds
            .push((inbound.key.clone(), Some(inbound.clone())));
        Receipt::New
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Inbound> {
        let waiting = self.inbounds.iter();
        waiting.filter_map(|(_, inbound)| inbound.as_ref())
    }

    /// Whether it was; a conflict changes nothing.
    pub(super) fn conclude(&mut self, conclusion: Conclusion, now: Timestamp) -> bool {
        let waits = |(key, inbound): &&mut (InboundKey, Option<Inbound>)| {
            *key == conclusion.inbound && inbound.is_some()
        };
        let fits = match &conclusion.change {
            Change::Nothing
            | Change::Link(_)
            | Change::Lock(_)
            | Change::Covers(_)
            | Change::Page(_)
            | Change::Paged(..) => true,
            Change::NewRun { run, lock } => {
                let twin = |row: &Row| row.run.id == run.id || row.run.reference == run.reference;
                !self.rows.iter().any(twin) && !(run.holds_lock() && self.is_held(lock, run.id))
            }
            Change::Happened { run, events, .. } => self.after(*run, events, now).is_some(),
        };
        let Some((_, inbound)) = self.inbounds.iter_mut().find(waits).filter(|_| fits) else {
            return false;
        };
        *inbound = None;
        self.append(conclusion.fact, now);
        match conclusion.change {
            // Nobody types `link`, `lock`, `oncall` or `page` here.
            Change::Nothing
            | Change::Link(_)
            | Change::Lock(_)
            | Change::Covers(_)
            | Change::Page(_)
            | Change::Paged(..) => {}
            Change::NewRun { run, lock } => self.rows.push(Row {
                due_at: due_at(&run, now),
                run: *run,
                lock,
                fence: 0,
                leased_until: None,
            }),
            Change::Happened { run, events, tell } => self.happen(run, events, tell, now),
        }
        self.owe(conclusion.postings);
        true
    }

    fn is_held(&self, lock: &Option<String>, by_other_than: RunId) -> bool {
        let holds = |row: &Row| row.lock == *lock && row.run.holds_lock();
        let others = self.rows.iter().filter(|row| row.run.id != by_other_than);
        lock.is_some() && others.into_iter().any(holds)
    }

    /// The run after these events, if they fit and its lock is free.
    fn after(&self, id: RunId, events: &[RunEvent], now: Timestamp) -> Option<Run> {
        let row = self.row(id)?;
        let mut after = row.run.clone();
        for event in events {
            after = apply(&after, event, now).ok()?;
        }
        let takes = after.holds_lock() && !row.run.holds_lock();
        (!takes || !self.is_held(&row.lock, id)).then_some(after)
    }

    fn happen(&mut self, id: RunId, events: Vec<RunEvent>, tell: Tell, now: Timestamp) {
        let after = self.after(id, &events, now).expect("the caller looked");
        let row = self.rows.iter_mut().find(|row| row.run.id == id);
        let row = row.expect("the caller looked");
        row.due_at = due_at(&after, now);
        row.run = after.clone();
        let mut finished = false;
        for happened in events {
            finished |= matches!(happened, RunEvent::Finished { .. });
            let (run, reference) = (id, after.reference.clone());
            let fact = Fact::Run {
                run,
                reference,
                happened,
            };
            self.append(fact, now);
        }
        let note = finished.then(|| self.signer.sign(self.tree.size(), self.tree.root()));
        let postings = tell(&after, note.as_deref());
        self.owe(postings);
    }

    fn owe(&mut self, postings: Vec<Posting>) {
        for posting in postings {
            let finished = posting.run.is_some_and(|id| {
                let run = self.row(id).map(|row| &row.run);
                run.is_some_and(|run| run.outcome().is_some())
            });
            let last = match posting.kind {
                PostingKind::Root => finished,
                PostingKind::Line { last, .. } => last,
                _ => false,
            };
            let root = |owed: &&mut Owed| {
                owed.is_root() && owed.posting.run == posting.run && owed.posting.to == posting.to
            };
            let is_root = posting.kind == PostingKind::Root;
            if let Some(owed) = self.outbox.iter_mut().find(root).filter(|_| is_root) {
                // One that is to be read back need not wait with its newer state.
                if owed.delivered_version == owed.version {
                    owed.not_before = i64::MIN;
                }
                owed.posting = posting;
                owed.last = last;
                owed.version += 1;
                if owed.state != State::Sending {
                    owed.state = State::Waiting;
                }
                continue;
            }
            let id = i64::try_from(self.owed.len()).expect("few") + 1;
            let channel = posting.to.channel.clone();
            self.owed
                .push((PostingId(id), posting.kind.clone(), posting.run, channel));
            self.outbox.push(Owed {
                id,
                posting,
                last,
                state: State::Waiting,
                version: 1,
                delivered_version: 0,
                message: None,
                in_doubt: false,
                attempts: 0,
                not_before: i64::MIN,
            });
        }
    }

    fn row(&self, id: RunId) -> Option<&Row> {
        self.rows.iter().find(|row| row.run.id == id)
    }

    pub(super) fn run(&self, id: RunId) -> Option<&Run> {
        self.row(id).map(|row| &row.run)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.rows.iter().map(|row| &row.run)
    }

    pub(super) fn run_by_reference(&self, reference: &Reference) -> Option<&Run> {
        self.runs().find(|run| run.reference == *reference)
    }

    pub(super) fn free_reference(&self, id: RunId) -> Reference {
        let taken = |reference: &Reference| {
            self.runs()
                .any(|run| run.reference == *reference && run.id != id)
        };
        let lengths = (4..=12).map(|length| id.reference(length));
        let mut free = lengths.filter(|reference| !taken(reference));
        free.next().expect("no two ids agree so far")
    }

    pub(super) fn history(&self, id: RunId) -> Vec<Entry> {
        let of_run = |entry: &&Entry| match &entry.fact {
            Fact::Run { run, .. } => *run == id,
            Fact::Decided { run, .. } => *run == Some(id),
            _ => false,
        };
        self.entries.iter().filter(of_run).cloned().collect()
    }

    pub(super) fn holder(&self, lock: &str, near: &Place) -> Option<OtherRun> {
        let holds = |row: &&Row| row.lock.as_deref() == Some(lock) && row.run.holds_lock();
        let held = self.rows.iter().find(holds);
        held.map(|row| self.other(&row.run, near))
    }

    pub(super) fn latest_success(
        &self,
        same_target: &str,
        since: Timestamp,
        near: &Place,
    ) -> Option<OtherRun> {
        let done = self.runs().filter(|run| {
            run.outcome() == Some(Outcome::Succeeded)
                && run.finished_at.is_some_and(|at| at >= since)
                && run.invocation.same_target() == same_target
        });
        let done = done.max_by_key(|run| run.finished_at);
        done.map(|run| self.other(run, near))
    }

    pub(super) fn latest_of(&self, same_target: &str, near: &Place) -> Option<OtherRun> {
        let same = self
            .runs()
            .filter(|run| run.invocation.same_target() == same_target);
        let latest = same.max_by_key(|run| run.created_at);
        latest.map(|run| self.other(run, near))
    }

    /// With the thread that is nearest.
    fn other(&self, run: &Run, near: &Place) -> OtherRun {
        let roots = self.outbox.iter().filter(|owed| {
            owed.is_root() && owed.posting.run == Some(run.id) && owed.message.is_some()
        });
        let nearest = roots.min_by_key(|owed| {
            let to = &owed.posting.to;
            (!to.shares_channel(near), to.space != near.space, owed.id)
        });
        OtherRun {
            thread: Some(nearest.map_or_else(
                || ThreadLink {
                    place: run.place.clone(),
                    message: String::new(),
                },
                |owed| ThreadLink {
                    place: owed.posting.to.clone(),
                    message: owed.message.clone().expect("looked at above").0,
                },
            )),
            ..midwatch::dispatch::other_run(run)
        }
    }

    pub(super) fn claim(&mut self, now: Timestamp, lease: Duration) -> Option<(Held, Run)> {
        let now = now.as_millisecond();
        let free = |row: &&mut Row| {
            row.due_at.is_some_and(|due| due <= now)
                && row.leased_until.is_none_or(|until| until <= now)
        };
        let order = |row: &&mut Row| {
            let created = row.run.created_at.as_millisecond();
            (
                row.due_at.max(Some(created)),
                created,
                row.run.id.to_string(),
            )
        };
        let row = self.rows.iter_mut().filter(free).min_by_key(order)?;
        row.fence += 1;
        row.leased_until = Some(now + millis(lease));
        let held = Held {
            run: row.run.id,
            fence: row.fence,
        };
        Some((held, row.run.clone()))
    }

    fn held(&mut self, held: &Held) -> Option<&mut Row> {
        let mut rows = self.rows.iter_mut();
        rows.find(|row| {
            row.run.id == held.run && row.fence == held.fence && row.leased_until.is_some()
        })
    }

    pub(super) fn renew(&mut self, held: &Held, now: Timestamp, lease: Duration) -> bool {
        let row = self.held(held);
        let found = row.is_some();
        if let Some(row) = row {
            row.leased_until = Some(now.as_millisecond() + millis(lease));
        }
        found
    }

    pub(super) fn release(&mut self, held: &Held, now: Timestamp) -> bool {
        let row = self.held(held);
        let found = row.is_some();
        if let Some(row) = row {
            row.leased_until = None;
            row.due_at = due_at(&row.run, now);
        }
        found
    }

    /// The run afterwards; `None` when the lease is lost or an event does not fit.
    pub(super) fn record(
        &mut self,
        held: &Held,
        events: Vec<RunEvent>,
        tell: Tell,
        now: Timestamp,
    ) -> Option<Run> {
        self.held(held)?;
        let after = self.after(held.run, &events, now)?;
        self.happen(held.run, events, tell, now);
        Some(after)
    }

    /// What a process that died leaves behind, as the next one finds it.
    pub(super) fn crash(&mut self) {
        for row in &mut self.rows {
            if row.leased_until.take().is_some() {
                row.fence += 1;
            }
        }
        for owed in &mut self.outbox {
            if owed.state == State::Sending {
                owed.state = State::Waiting;
                owed.in_doubt = true;
            }
        }
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<DuePosting> {
        let ms = now.as_millisecond();
        let open = |owed: &Owed| owed.state == State::Waiting || owed.state == State::Sending;
        let due = |owed: &&Owed| {
            let mut earlier = self.outbox.iter().filter(|other| other.id < owed.id);
            owed.state == State::Waiting
                && owed.not_before <= ms
                && match owed.posting.kind {
                    PostingKind::Root | PostingKind::Form { .. } => true,
                    PostingKind::Line { .. } | PostingKind::Output { .. } => {
                        let root = self.root_of(owed);
                        root.is_none_or(|root| root.delivered_version > 0)
                            && !earlier.any(|other| {
                                other.is_line() && open(other) && other.shares_thread(owed)
                            })
                    }
                    PostingKind::Answer | PostingKind::Whisper { .. } => !earlier.any(|other| {
                        matches!(
                            other.posting.kind,
                            PostingKind::Answer | PostingKind::Whisper { .. }
                        ) && other.shares_channel(owed)
                            && (other.state == State::Sending
                                || other.state == State::Waiting && other.not_before <= ms)
                    }),
                }
        };
        let mut due: Vec<&Owed> = self.outbox.iter().filter(due).collect();
        due.sort_by_key(|owed| owed.urgency());
        let before = |owed: &Owed, alike: &dyn Fn(&Owed) -> bool| {
            let others = due.iter().take_while(|it| it.id != owed.id);
            others
                .filter(|it| it.call() == owed.call() && alike(it))
                .count()
        };
        let nth = |owed: &Owed| before(owed, &|other| other.shares_channel(owed));
        let mut chosen: Vec<&Owed> = due.iter().copied().filter(|it| nth(it) < 4).collect();
        chosen.sort_by_key(|owed| (nth(owed), owed.urgency()));
        let mut calls: HashMap<&str, usize> = HashMap::new();
        chosen.retain(|owed| {
            let count = calls.entry(owed.call()).or_default();
            *count += 1;
            *count <= limit
        });
        chosen.sort_by_key(|owed| owed.urgency());
        let chosen = chosen.into_iter();
        chosen
            .map(|owed| DuePosting {
                id: PostingId(owed.id),
                version: owed.version,
                posting: owed.posting.clone(),
                delivered: owed.message.clone(),
                delivered_version: owed.delivered_version,
                last: owed.last,
                thread: self
                    .root_of(owed)
                    .filter(|_| owed.is_line())
                    .and_then(|root| root.message.clone()),
                in_doubt: owed.in_doubt && owed.message.is_none(),
                attempts: owed.attempts,
            })
            .collect()
    }

    fn root_of(&self, owed: &Owed) -> Option<&Owed> {
        let mut outbox = self.outbox.iter();
        outbox.find(|other| other.is_root() && other.shares_thread(owed))
    }

    fn open(&mut self, id: PostingId) -> Option<&mut Owed> {
        let mut outbox = self.outbox.iter_mut();
        outbox.find(|owed| owed.id == id.0 && owed.state != State::Done)
    }

    pub(super) fn begin(&mut self, id: PostingId) -> bool {
        let owed = self.open(id).filter(|owed| owed.state == State::Waiting);
        let found = owed.is_some();
        if let Some(owed) = owed {
            owed.state = State::Sending;
        }
        found
    }

    pub(super) fn delivered(
        &mut self,
        id: PostingId,
        version: i64,
        message: Option<MessageRef>,
    ) -> bool {
        let Some(owed) = self.open(id) else {
            return false;
        };
        if !owed.is_root() {
            self.outbox.retain(|owed| owed.id != id.0);
            return true;
        }
        owed.delivered_version = version;
        owed.message = message.or(owed.message.take());
        owed.in_doubt = false;
        owed.attempts = 0;
        owed.state = if owed.version > version {
            State::Waiting
        } else {
            State::Done
        };
        true
    }

    /// The platform took it, and more is due for it.
    pub(super) fn stands(&mut self, id: PostingId, stands: Standing) -> bool {
        let owed = self.open(id);
        let found = owed.is_some();
        if let Some(owed) = owed {
            owed.state = State::Waiting;
            owed.delivered_version = stands.version;
            owed.message = stands.message.or(owed.message.take());
            owed.in_doubt = false;
            if !owed.is_root() {
                owed.attempts = 0;
            }
            if !(owed.is_root() && owed.version > stands.version) {
                owed.not_before = stands.until.as_millisecond();
            }
        }
        found
    }

    /// The platform took it, and it is not there.
    pub(super) fn lost(&mut self, id: PostingId, until: Timestamp) -> bool {
        let owed = self.open(id);
        let found = owed.is_some();
        if let Some(owed) = owed {
            owed.state = State::Waiting;
            owed.version += 1;
            owed.attempts += 1;
            owed.not_before = until.as_millisecond();
            if !owed.is_root() {
                owed.message = None;
                owed.delivered_version = 0;
                owed.in_doubt = true;
            }
        }
        found
    }

    pub(super) fn defer(&mut self, id: PostingId, until: Timestamp, in_doubt: bool) -> bool {
        let owed = self.open(id);
        let found = owed.is_some();
        if let Some(owed) = owed {
            owed.state = State::Waiting;
            owed.not_before = until.as_millisecond();
            owed.attempts += 1;
            owed.in_doubt |= in_doubt;
        }
        found
    }

    /// The next moment at which something is due that is not due now.
    pub(super) fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        let runs = self
            .rows
            .iter()
            .flat_map(|row| [row.due_at, row.leased_until]);
        let postings = self.outbox.iter().filter(|owed| owed.state != State::Done);
        let postings = postings.map(|owed| Some(owed.not_before));
        let moments = runs.chain(postings).flatten();
        let next = moments.filter(|at| *at > now.as_millisecond()).min()?;
        Timestamp::from_millisecond(next).ok()
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).expect("short spans")
}
