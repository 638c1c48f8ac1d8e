//! Pages: people who are called, level by level, until somebody answers. Pure: what is due, whom it reaches, what is told.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Account, Escalation, Fact, Identity, InboundKey, People, PersonId, Place, Platform, Posting,
    PostingKind, Project, ProjectName, Reference, Run, RunId, Who, render,
};

/// How many persons one level calls.
const MOST_CALLED: usize = 10;

/// Identifies a page for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageId(Uuid);

impl PageId {
    /// The page that an inbound begins.
    pub fn of_inbound(inbound: &InboundKey) -> Self {
        Self::of(inbound.as_str())
    }

    /// The page that calls for consent to a run.
    pub fn of_run(run: RunId) -> Self {
        Self::of(&run.to_string())
    }

    fn of(what: &str) -> Self {
        let digest = Sha256::digest(format!("midwatch page\n{what}").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Uuid::new_v8(bytes))
    }

    /// Reads an id as it was printed.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// People who are called until somebody answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Which.
    pub id: PageId,
    /// What people call it; of one for consent: the run's.
    pub reference: Reference,
    /// Whose escalation it follows.
    pub project: ProjectName,
    /// Why people are called.
    pub about: About,
    /// Who called; for consent: who asks for it.
    pub by: Identity,
    /// Where it is told.
    pub places: Vec<Place>,
    /// Whom to call after which time, as the runbook said when it began. Sorted by time.
    pub levels: Vec<Escalation>,
    /// How many of them were called.
    pub called: usize,
    /// By how much the levels that are left come earlier than they say.
    pub earlier: Duration,
    /// How it stands.
    pub state: PageState,
    /// When it began.
    pub began_at: Timestamp,
}

/// Why people are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// In somebody's words, on one line.
    Words(String),
    /// Nobody answered who may consent to a run.
    Consent {
        /// Which.
        run: RunId,
        /// What it would do: `flush-cache prod`.
        title: String,
    },
    /// The glass was broken for a run: somebody else has to look at it, and never who broke it.
    Glass {
        /// Which.
        run: RunId,
        /// What it does, as the thread calls it.
        title: String,
        /// Why, in the words of who broke it.
        reason: String,
    },
}

/// How a page stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageState {
    /// Levels are left.
    Calling,
    /// Every level was called, and nobody has answered.
    Exhausted,
    /// Somebody has it.
    Acknowledged {
        /// Who.
        by: PersonId,
        /// Since when.
        at: Timestamp,
    },
    /// What it was about is decided.
    Over {
        /// When that was found.
        at: Timestamp,
    },
}

impl PageState {
    /// The word in columns.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Exhausted => "exhausted",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Over { .. } => "over",
        }
    }

    /// Whether nobody has answered yet.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Calling | Self::Exhausted => true,
            Self::Acknowledged { .. } | Self::Over { .. } => false,
        }
    }
}

/// By which means a level is called.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// A direct message to each account of each person.
    Direct,
    /// A mention where the page is told.
    Mention,
    /// An e-mail to each person who has an address.
    Email,
    /// One message to the webhook of this midwatch.
    Webhook,
    /// One incident at the pager of this midwatch.
    Pager,
}

impl Means {
    /// How it is said in a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Direct => "direct message",
            Self::Mention => "mention",
            Self::Email => "e-mail",
            Self::Webhook => "webhook",
            Self::Pager => "pager",
        }
    }
}

/// How a pager is told that it need not call any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PagerWord {
    /// Somebody has it.
    Acknowledge,
    /// It is over.
    Resolve,
}

impl PagerWord {
    /// As PagerDuty spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
        }
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Of which level, counted from 0.
    pub level: usize,
    /// By which means.
    pub means: Means,
    /// Whom it calls. Non-empty.
    pub persons: Vec<PersonId>,
    /// Where it goes: an account or an address. Of a pager: what it is told instead of being called; else empty.
    pub to: String,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// Not delivered yet; why, where that is known.
    Waiting(Option<String>),
    /// Taken by whoever delivers it.
    Delivered,
    /// Given up; why.
    Failed(String),
    /// Somebody answered before.
    Stopped,
}

/// What happened to a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum PageEvent {
    /// It began.
    Began {
        /// By whom.
        by: Identity,
        /// Why.
        about: About,
    },
    /// A level was called.
    Called {
        /// Which, counted from 0.
        level: usize,
        /// Whom the runbook names.
        call: String,
        /// Whom that reaches. Empty: nobody.
        calls: Vec<Call>,
    },
    /// Somebody did not want to wait for the next level.
    Escalated {
        /// Who.
        by: PersonId,
    },
    /// A call was delivered, or given up.
    CallEnded {
        /// Which, counted from 0 over all levels.
        number: usize,
        /// How.
        became: CallState,
    },
    /// A call is late.
    CallDelayed {
        /// Which, counted from 0 over all levels.
        number: usize,
        /// Why, as far as that is known.
        why: String,
    },
    /// Somebody has it: nobody else is called.
    Acknowledged {
        /// Who.
        by: PersonId,
    },
    /// What it was about is decided.
    Over,
}

/// A level that is called now: what becomes of the page, and what is owed to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The page, with the level called.
    pub page: Page,
    /// For the ledger, in order; one for each level that was passed.
    pub events: Vec<PageEvent>,
    /// Each with its posting, where it is made in chat.
    pub calls: Vec<(Call, Option<Posting>)>,
    /// What is told beside the calls.
    pub postings: Vec<Posting>,
}

/// Where calls can go.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'r> {
    /// Who is who.
    pub people: &'r People,
    /// The platforms that direct messages reach.
    pub spoken: &'r [Platform],
}

impl Page {
    /// The page that calls for consent to a run. Who is called at once was asked in the thread already. `None` where the
    /// runbook names nobody to be called later.
    pub fn for_consent(run: &Run, project: &Project) -> Option<Self> {
        let levels = project.escalation.clone();
        let called = levels.iter().filter(|level| level.at.is_zero()).count();
        (called < levels.len()).then(|| Self {
            id: PageId::of_run(run.id),
            reference: run.reference.clone(),
            project: project.name.clone(),
            about: About::Consent {
                run: run.id,
                title: render::title(&run.invocation),
            },
            by: run.requester.clone(),
            places: run.places().cloned().collect(),
            levels,
            called,
            earlier: Duration::ZERO,
            state: PageState::Calling,
            began_at: run.created_at,
        })
    }

    /// The page that calls those who have to know that the glass was broken, and then as the runbook escalates. `None`
    /// where nothing was broken.
    pub fn for_glass(
        run: &Run,
        at_once: &[Who],
        project: &Project,
        people: &People,
    ) -> Option<Self> {
        run.glass.as_ref()?;
        let meant = |who: &Who| people.meant(who, run.created_at);
        let called: BTreeSet<&PersonId> = at_once.iter().flat_map(meant).collect();
        let usual = usual_means();
        // Whoever is called already need not be called twice at the same moment.
        let is_called = |level: &Escalation| {
            let mut persons = meant(&level.call).into_iter();
            level.at.is_zero()
                && level.by.is_subset(&usual)
                && persons.all(|it| called.contains(it))
        };
        let at_once = at_once.iter().map(|who| Escalation {
            at: Duration::ZERO,
            call: who.clone(),
            say_so: true,
            by: usual.clone(),
        });
        let later = project.escalation.iter().filter(|level| !is_called(level));
        let levels: Vec<Escalation> = at_once.chain(later.cloned()).collect();
        Some(Self {
            id: PageId::of_run(run.id),
            reference: run.reference.clone(),
            project: run.invocation.project.clone(),
            about: About::Glass {
                run: run.id,
                title: render::title(&run.invocation),
                reason: run.invocation.reason.clone().unwrap_or_default(),
            },
            by: run.requester.clone(),
            places: run.places().cloned().collect(),
            levels,
            called: 0,
            earlier: Duration::ZERO,
            state: PageState::Calling,
            began_at: run.created_at,
        })
    }

    /// That it began.
    pub fn began(&self) -> PageEvent {
        PageEvent::Began {
            by: self.by.clone(),
            about: self.about.clone(),
        }
    }

    /// As the ledger has what happened to it.
    pub fn fact(&self, inbound: Option<InboundKey>, became: PageEvent) -> Fact {
        Fact::Page {
            inbound,
            page: self.id,
            reference: self.reference.clone(),
            project: self.project.clone(),
            became,
        }
    }

    /// The run whose consent it calls for.
    pub fn run(&self) -> Option<RunId> {
        match &self.about {
            About::Consent { run, .. } => Some(*run),
            About::Words(_) | About::Glass { .. } => None,
        }
    }

    /// The run in whose thread it is told.
    pub fn told_with(&self) -> Option<RunId> {
        match &self.about {
            About::Consent { run, .. } | About::Glass { run, .. } => Some(*run),
            About::Words(_) => None,
        }
    }

    /// Whether this person is the one who may not answer it: who broke the glass is no witness of it.
    pub fn is_not_for(&self, person: &PersonId) -> bool {
        matches!(self.about, About::Glass { .. }) && self.by == Identity::Person(person.clone())
    }

    /// When the next level is called; `None` when there is none, or somebody has answered.
    pub fn next_at(&self) -> Option<Timestamp> {
        let next = self
            .next_level()
            .filter(|_| self.state == PageState::Calling)?;
        let after = next.at.saturating_sub(self.earlier);
        let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
        Some(
            self.began_at
                .saturating_add(after)
                .unwrap_or(Timestamp::MAX),
        )
    }

    /// The next level.
    pub fn next_level(&self) -> Option<&Escalation> {
        self.levels.get(self.called)
    }

    /// Calls the next level now, whatever its time is; where that reaches nobody, the one after it, and so on.
    ///
    /// `None` when no level is left.
    pub fn call_next(&self, reach: Reach<'_>, now: Timestamp) -> Option<Fired> {
        let mut page = self.clone();
        let mut events = Vec::new();
        let mut calls = Vec::new();
        let mut told = Vec::new();
        while calls.is_empty() && page.called < page.levels.len() {
            let level = page.levels[page.called].clone();
            let reached = page.calls_of(&level, reach, now);
            events.push(PageEvent::Called {
                level: page.called,
                call: level.call.to_string(),
                calls: reached.clone(),
            });
            told.push((page.called, reached.is_empty()));
            // What comes after keeps its distance to this one.
            let elapsed = Duration::try_from(now.duration_since(page.began_at)).unwrap_or_default();
            page.earlier = page.earlier.max(level.at.saturating_sub(elapsed));
            page.called += 1;
            calls = reached;
        }
        if told.is_empty() {
            return None;
        }
        if page.called == page.levels.len() {
            page.state = PageState::Exhausted;
        }
        let message = render::page_called(&page, &told, &calls, reach.people);
        let calls = calls.into_iter().map(|call| {
            let posting = page.posting_of(&call, &message);
            (call, posting)
        });
        let calls: Vec<_> = calls.collect();
        let mentioned = calls.iter().any(|(call, _)| call.means == Means::Mention);
        let last = &self.levels[page.called - 1];
        let first = self.called == 0 && page.run().is_none();
        // The first is always told, and so is a level that nobody holds.
        let tell = first || last.say_so || told.len() > 1 || calls.is_empty();
        let places = if mentioned {
            page.places.get(1..).unwrap_or_default()
        } else {
            &page.places
        };
        let places = places.iter().filter(|_| mentioned || tell);
        let postings = places.map(|to| page.posting(to, message.clone())).collect();
        Some(Fired {
            page,
            events,
            calls,
            postings,
        })
    }

    fn calls_of(&self, level: &Escalation, reach: Reach<'_>, now: Timestamp) -> Vec<Call> {
        let persons = reach.people.meant(&level.call, now).into_iter();
        let persons = persons.filter(|person| !self.is_not_for(person));
        let persons: Vec<PersonId> = persons.take(MOST_CALLED).cloned().collect();
        if persons.is_empty() {
            return Vec::new();
        }
        let call = |means, persons: Vec<PersonId>, to: String| Call {
            level: self.called,
            means,
            persons,
            to,
        };
        let mut calls = Vec::new();
        for means in &level.by {
            match means {
                Means::Direct => calls.extend(persons.iter().flat_map(|person| {
                    let accounts = reach.people.accounts_of(person).into_iter();
                    let reached = accounts.filter(|it| reach.spoken.contains(&it.platform));
                    reached.map(|account| call(*means, vec![person.clone()], account.key()))
                })),
                Means::Email => calls.extend(persons.iter().filter_map(|person| {
                    let address = reach.people.emails.get(person)?;
                    Some(call(*means, vec![person.clone()], address.clone()))
                })),
                Means::Mention => {
                    let mentioned = persons.iter().filter(|it| self.is_read_by(it, reach));
                    let mentioned: Vec<PersonId> = mentioned.cloned().collect();
                    if !mentioned.is_empty() {
                        calls.push(call(*means, mentioned, String::new()));
                    }
                }
                Means::Webhook | Means::Pager => {
                    calls.push(call(*means, persons.clone(), String::new()));
                }
            }
        }
        calls
    }

    /// Whether a mention where it is told can reach this person: a name that the platform doesn't know pings nobody.
    fn is_read_by(&self, person: &PersonId, reach: Reach<'_>) -> bool {
        let accounts = reach.people.accounts_of(person);
        let mut places = self.places.iter();
        places.any(|place| {
            let here = |it: &Account| it.platform == place.platform;
            place.platform == Platform::Console || accounts.iter().any(here)
        })
    }

    /// The posting by which a call is made; `None` for one that leaves chat.
    fn posting_of(&self, call: &Call, told: &super::Message) -> Option<Posting> {
        match call.means {
            Means::Direct => {
                let account = Account::of_key(&call.to)?;
                Some(direct(&account, render::page_direct(self, call)))
            }
            Means::Mention => Some(self.posting(self.places.first()?, told.clone())),
            Means::Email | Means::Webhook | Means::Pager => None,
        }
    }

    /// A message of the page in one of its places: of a run, a line of its thread.
    pub fn posting(&self, to: &Place, message: super::Message) -> Posting {
        let run = self.told_with();
        let kind = match run {
            Some(_) => PostingKind::Line {
                attachment: None,
                last: false,
            },
            None => PostingKind::Answer,
        };
        Posting {
            to: to.clone(),
            kind,
            run,
            message,
        }
    }

    /// The same message in each of its places.
    pub fn in_each_place(&self, message: &super::Message) -> Vec<Posting> {
        let places = self.places.iter();
        places.map(|to| self.posting(to, message.clone())).collect()
    }

    /// What the pager is told when people need not be called any more; `None` where it was not called.
    pub fn end_at_pager(&self, calls: &[(Call, CallState)], word: PagerWord) -> Option<Call> {
        let mut opened = calls.iter().map(|(call, _)| call);
        let opened = opened.rfind(|call| call.means == Means::Pager && call.to.is_empty())?;
        Some(Call {
            to: word.as_str().to_owned(),
            ..opened.clone()
        })
    }

    /// Whether the person may end it, or call the next level: whom it calls at any time, the project's owners, and who
    /// called.
    pub fn concerns(
        &self,
        person: &PersonId,
        owners: Option<&Who>,
        people: &People,
        now: Timestamp,
    ) -> bool {
        let named = self.levels.iter().map(|level| &level.call).chain(owners);
        let mut meant = named.flat_map(|who| people.meant(who, now));
        self.by == Identity::Person(person.clone()) || meant.any(|it| it == person)
    }
}

/// A direct message: a whisper in the place that is the account itself.
pub fn direct(account: &Account, message: super::Message) -> Posting {
    Posting {
        to: Place {
            platform: account.platform,
            space: account.space.clone(),
            channel: account.id.clone(),
            thread: None,
        },
        kind: PostingKind::Whisper {
            speaker: account.id.clone(),
            handle: None,
        },
        run: None,
        message,
    }
}

/// By which means a level is called that does not say it.
pub fn usual_means() -> BTreeSet<Means> {
    [Means::Direct, Means::Mention].into()
}
