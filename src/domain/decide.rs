//! The one place where permission is decided. Silence, doubt and our own faults mean no.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Actor, ApprovalTerms, Catalog, Command, Commands, Condition, FileLine, Freeze, GlassTerms,
    Grant, Identity, Invocation, Outcome, PersonId, PersonLock, Project, Reference, Revision, Rule,
    ThreadLink, Who, may_consent,
};
use crate::planted;

/// A command that changes something and reached us later than this after it was sent is asked for
/// again: platforms redeliver minutes later, when the reason may be gone.
pub const LATE_AFTER: Duration = Duration::from_secs(60);

/// How long a change counts against a project's limits.
pub const LIMITS_COUNT: Duration = Duration::from_mins(1);

/// Asks the runbook. First match wins; no match means no.
pub fn decide(
    invocation: &Invocation,
    actor: &Actor,
    catalog: &Catalog,
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    let project = catalog.projects.get(&invocation.project);
    let command = catalog.commands.get(&invocation.command);
    let (Some(project), Some(command)) = (project, command) else {
        return Decision::Deny {
            denial: Denial::Gone,
            rule: None,
        };
    };
    let question = Asked {
        invocation,
        command,
        project,
        catalog,
        now,
    };
    let reference = |at: &FileLine| RuleRef {
        at: at.clone(),
        revision: catalog.revision.clone(),
    };
    let person = actor.person();
    let matching = project.rules.iter().filter(|rule| {
        question.covers(rule)
            && question.is_open(rule)
            && person.is_some_and(|it| question.means(&rule.who, it))
    });
    // Whoever breaks the glass does not wait for consent, if a later rule lets them; what is forbidden stays so.
    let waits = |rule: &&Rule| invocation.glass && matches!(rule.grant, Grant::Approval(_));
    let found = matching
        .clone()
        .find(|rule| !waits(rule))
        .or(matching.clone().next());
    let (Some(rule), Some(person)) = (found, person) else {
        let (contact, on_call) = question.contact();
        let denial = Denial::NoRule {
            routes: question.routes(person),
            contact,
            on_call,
        };
        return Decision::Deny {
            denial,
            rule: Some(reference(&project.otherwise.defined)),
        };
    };
    let at = reference(&rule.defined);
    let (terms, glass) = match &rule.grant {
        Grant::Allow => (None, None),
        Grant::Approval(terms) => (Some(terms), None),
        Grant::BreakGlass(terms) if invocation.glass && facts.glass_today < terms.a_day => {
            (None, Some(terms))
        }
        Grant::BreakGlass(terms) => {
            let (contact, on_call) = question.contact();
            let denial = Denial::BreakGlass {
                used_up: invocation.glass.then_some(terms.a_day),
                contact,
                on_call,
            };
            return Decision::Deny {
                denial,
                rule: Some(at),
            };
        }
        Grant::Never(reason) => {
            let (contact, on_call) = question.contact();
            let denial = Denial::Never {
                reason: reason.clone(),
                contact,
                on_call,
            };
            return Decision::Deny {
                denial,
                rule: Some(at),
            };
        }
    };
    if let Some(hold) = question.hold(facts, person, glass.is_some()) {
        return Decision::Hold { hold, rule: at };
    }
    match terms {
        Some(terms) if !question.has_consent(terms, person, &facts.approvers) => {
            Decision::RequireApproval {
                terms: terms.clone(),
                rule: at,
                draft: Draft {
                    invocation: invocation.clone(),
                },
            }
        }
        Some(_) | None => Decision::Allow {
            permit: Permit {
                invocation: invocation.clone(),
            },
            rule: at,
            glass: glass.cloned(),
        },
    }
}

/// One question to one runbook.
struct Asked<'a> {
    invocation: &'a Invocation,
    command: &'a Command,
    project: &'a Project,
    catalog: &'a Catalog,
    now: Timestamp,
}

impl Asked<'_> {
    /// Whether the rule speaks of this command, environment and these arguments.
    fn covers(&self, rule: &Rule) -> bool {
        let command = match &rule.may {
            Commands::Named(names) => names.contains(&self.invocation.command),
            Commands::Reads => self.command.only_reads(),
            Commands::All => true,
        };
        let environment = match (&rule.environments, &self.invocation.environment) {
            (None, _) => true,
            (Some(named), Some(environment)) => named.contains(environment),
            (Some(_), None) => false,
        };
        command
            && environment
            && rule
                .conditions
                .iter()
                .all(|(name, condition)| self.meets(name.as_str(), condition))
    }

    fn meets(&self, name: &str, condition: &Condition) -> bool {
        let Some(value) = self.invocation.arguments.get(name) else {
            return false;
        };
        // Of a list every item must hold: a rule about one value must not let another ride along.
        let items = match value {
            super::Value::List(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        !items.is_empty()
            && items.iter().all(|item| match condition {
                Condition::OneOf(allowed) => allowed.contains(&item.to_string()),
                Condition::Matches(pattern) => {
                    let text = item.to_string();
                    pattern
                        .find(&text)
                        .is_some_and(|found| found.range() == (0..text.len()))
                }
                Condition::Between { min, max } => {
                    matches!(item, super::Value::Integer(number) if number >= min && number <= max)
                }
            })
    }

    fn is_open(&self, rule: &Rule) -> bool {
        rule.when
            .as_ref()
            .is_none_or(|window| window.contains(self.now))
    }

    fn means(&self, who: &[Who], person: &PersonId) -> bool {
        who.iter()
            .any(|who| self.catalog.people.is_meant(who, person, self.now))
    }

    fn has_consent(
        &self,
        terms: &ApprovalTerms,
        requester: &PersonId,
        approvers: &[PersonId],
    ) -> bool {
        let requester = Identity::Person(requester.clone());
        let counted = approvers
            .iter()
            .filter(|person| may_consent(terms, &requester, person, self.catalog, self.now));
        let meant =
            |who: &Who, person: &PersonId| self.catalog.people.is_meant(who, person, self.now);
        terms.filled(counted, meant) >= terms.needed()
    }

    /// `glass`: it was broken, so neither a freeze nor a fresh success holds. Locks and what runs always do.
    fn hold(&self, facts: &Facts, person: &PersonId, glass: bool) -> Option<Hold> {
        if !self.command.only_reads() && facts.age > LATE_AFTER {
            return Some(Hold::Late {
                by: facts.age,
                lost: facts.lost,
            });
        }
        if let Some(frozen) = self.frozen(person).filter(|_| !glass) {
            return Some(frozen);
        }
        if let Some(lock) = &facts.locked
            && lock.by != *person
            && !self.command.only_reads()
            && !(glass && planted::is("glass-opens-locks"))
        {
            return Some(Hold::Locked { lock: lock.clone() });
        }
        if let Some(too_many) = self.too_many(facts, person).filter(|_| !glass) {
            return Some(too_many);
        }
        if let Some(other) = &facts.running {
            return Some(Hold::Running {
                other: other.clone(),
            });
        }
        match (&facts.just_done, self.command.fresh) {
            (Some(other), Some(fresh)) if !glass && !self.invocation.insists() => {
                Some(Hold::JustDone {
                    other: other.clone(),
                    fresh,
                })
            }
            _ => None,
        }
    }

    /// The limit that is reached: one person's before that of all.
    fn too_many(&self, facts: &Facts, person: &PersonId) -> Option<Hold> {
        if self.command.only_reads() {
            return None;
        }
        let limits = self.project.limits;
        let own = facts.begun.iter().filter(|it| it.by == *person);
        let own: Vec<Timestamp> = own.map(|it| it.at).collect();
        let all: Vec<Timestamp> = facts.begun.iter().map(|it| it.at).collect();
        let reached = |begun: &[Timestamp], limit: Option<u32>| {
            // Newest first: when the one at the limit counts no more, there is room for another.
            let at = begun.get(limit?.max(1) as usize - 1)?;
            at.checked_add(LIMITS_COUNT).ok()
        };
        let hold = |again_at, a_person: bool, limit: Option<u32>| Hold::TooMany {
            again_at,
            a_person,
            limit: limit.unwrap_or_default(),
        };
        let of_person = reached(&own, limits.a_person).map(|at| hold(at, true, limits.a_person));
        of_person.or_else(|| reached(&all, limits.all).map(|at| hold(at, false, limits.all)))
    }

    /// The freeze that holds it, if there is one: of several the one that ends last.
    fn frozen(&self, person: &PersonId) -> Option<Hold> {
        if self.command.only_reads() {
            return None;
        }
        let holds = |freeze: &&Freeze| {
            let here = match (&freeze.environments, &self.invocation.environment) {
                (None, _) => true,
                (Some(named), Some(environment)) => named.contains(environment),
                (Some(_), None) => false,
            };
            here && !freeze.except.contains(&self.invocation.command)
                && !self.means(&freeze.unless, person)
        };
        let held = self.project.freezes.iter().filter(holds);
        let ends = held.filter_map(|freeze| Some((freeze.span.ends(self.now)?, freeze)));
        ends.max_by_key(|(until, _)| *until)
            .map(|(until, freeze)| Hold::Frozen {
                until,
                reason: freeze.reason.clone(),
                unless: freeze.unless.clone(),
                at: freeze.defined.clone(),
            })
    }

    /// The rules that would let somebody do this, or this person at another time.
    fn routes(&self, asker: Option<&PersonId>) -> Vec<Route> {
        let routes = self
            .project
            .rules
            .iter()
            .filter(|rule| self.covers(rule))
            .filter_map(|rule| {
                let approvals = match &rule.grant {
                    Grant::Allow => None,
                    Grant::Approval(terms) => Some(terms.clone()),
                    Grant::BreakGlass(_) | Grant::Never(_) => return None,
                };
                let mut persons: Vec<PersonId> = Vec::new();
                for person in rule
                    .who
                    .iter()
                    .flat_map(|who| self.catalog.people.meant(who, self.now))
                {
                    if Some(person) != asker && !persons.contains(person) && persons.len() < 5 {
                        persons.push(person.clone());
                    }
                }
                let when = rule.when.as_ref().map(|window| window.text.clone());
                Some(Route {
                    who: rule.who.clone(),
                    persons,
                    when,
                    approvals,
                    at: rule.defined.clone(),
                })
            });
        routes.take(3).collect()
    }

    fn contact(&self) -> (String, Vec<PersonId>) {
        let otherwise = &self.project.otherwise;
        let holders = otherwise
            .on_call
            .iter()
            .filter_map(|it| self.catalog.people.on_call(it, self.now));
        (otherwise.text.clone(), holders.cloned().collect())
    }
}

/// What the runbook says about one invocation, and which line of it says so.
#[derive(Debug)]
pub enum Decision {
    /// May.
    Allow {
        /// Makes the plan.
        permit: Permit,
        /// The rule that says so.
        rule: RuleRef,
        /// The glass was broken for it.
        glass: Option<GlassTerms>,
    },
    /// May, with consent.
    RequireApproval {
        /// Whose, how much of it, how long.
        terms: ApprovalTerms,
        /// The rule that says so.
        rule: RuleRef,
        /// Makes the plan that is shown to those who are asked.
        draft: Draft,
    },
    /// May, but not now.
    Hold {
        /// Why not.
        hold: Hold,
        /// The rule that would allow it.
        rule: RuleRef,
    },
    /// May not.
    Deny {
        /// Why.
        denial: Denial,
        /// The rule that says so, or the runbook's last line; `None` only when the project is not there.
        rule: Option<RuleRef>,
    },
}

/// Proof that a decision allowed this invocation; needed to make a plan. Only [`decide`] makes one.
#[derive(Debug)]
pub struct Permit {
    invocation: Invocation,
}

impl Permit {
    /// What was allowed; using it up makes the one plan.
    pub(super) fn into_invocation(self) -> Invocation {
        self.invocation
    }
}

/// Proof that a decision would allow this invocation with consent; needed to show a plan. No run can be made of it.
#[derive(Debug, Clone)]
pub struct Draft {
    invocation: Invocation,
}

impl Draft {
    /// What would be allowed.
    pub(super) fn into_invocation(self) -> Invocation {
        self.invocation
    }
}

/// A permit without a decision, for tests of what follows one.
#[cfg(test)]
pub(super) fn permit_for_tests(invocation: Invocation) -> Permit {
    Permit { invocation }
}

/// A rule, so that a person can open it and the ledger can name it a year later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// File and line.
    #[serde(flatten)]
    pub at: FileLine,
    /// Of the catalog.
    pub revision: Revision,
}

/// A change that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// By whom.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
}

/// Why an allowed invocation is not run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// It reached us long after it was sent.
    Late {
        /// How long.
        by: Duration,
        /// As [`Facts::lost`].
        lost: bool,
    },
    /// The runbook freezes changes now.
    Frozen {
        /// When that ends.
        until: Timestamp,
        /// Why, as the runbook has it.
        reason: String,
        /// For whom it doesn't count.
        unless: Vec<Who>,
        /// Where it stands.
        at: FileLine,
    },
    /// So many changes were begun within a minute that no more may.
    TooMany {
        /// When there is room for another.
        again_at: Timestamp,
        /// Whether they were this person's; else all of the project's.
        a_person: bool,
        /// How many may be begun in a minute.
        limit: u32,
    },
    /// Somebody has locked it.
    Locked {
        /// Who, why, until when.
        lock: PersonLock,
    },
    /// A run that shares its target is going on, or its outcome is unknown.
    Running {
        /// Which.
        other: OtherRun,
    },
    /// Somebody just did the very same.
    JustDone {
        /// Which.
        other: OtherRun,
        /// The command's `fresh`.
        fresh: Duration,
    },
}

impl Hold {
    /// The stable word: in the ledger, and for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Late { .. } => "late",
            Self::Frozen { .. } => "frozen",
            Self::TooMany { .. } => "too_many",
            Self::Locked { .. } => "locked",
            Self::Running { .. } => "running",
            Self::JustDone { .. } => "just_done",
        }
    }
}

/// Another run, as much of it as a hold tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRun {
    /// Its reference.
    pub reference: Reference,
    /// Who asked for it.
    pub requester: Identity,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended, if it did.
    pub finished_at: Option<Timestamp>,
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
    /// Why, in the requester's words, if they said it.
    pub reason: Option<String>,
    /// Its thread, nearest to who asks; `None` while it is not delivered.
    pub thread: Option<ThreadLink>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// No rule matches, and silence means no.
    NoRule {
        /// Rules of this project that would let somebody do this, or let this person at another time.
        routes: Vec<Route>,
        /// The runbook's last line.
        contact: String,
        /// Who is on call now, of the rotations that the last line names.
        on_call: Vec<PersonId>,
    },
    /// A rule forbids it.
    Never {
        /// The reason the runbook gives.
        reason: String,
        /// The runbook's last line.
        contact: String,
        /// Who is on call now.
        on_call: Vec<PersonId>,
    },
    /// Only by break-glass.
    BreakGlass {
        /// They broke it as often as they may in 24 hours: so often.
        used_up: Option<u32>,
        /// The runbook's last line.
        contact: String,
        /// Who is on call now.
        on_call: Vec<PersonId>,
    },
    /// The project or the command is not in the catalog any more.
    Gone,
}

/// A rule that would allow it: for whom, and under which conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whom the rule speaks of.
    pub who: Vec<Who>,
    /// Persons meant at this moment, without the asker; at most 5.
    pub persons: Vec<PersonId>,
    /// Its window, as the file has it.
    pub when: Option<String>,
    /// Its consent.
    pub approvals: Option<ApprovalTerms>,
    /// Where it stands.
    pub at: FileLine,
}

/// What was read before the decision, and matters to it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// How long ago it was sent.
    pub age: Duration,
    /// It was sent before the database was set back to an older state: what came of it may be missing here.
    pub lost: bool,
    /// A run that holds the target's lock.
    pub running: Option<OtherRun>,
    /// The changes that were begun in the project within [`LIMITS_COUNT`], newest first; only where it has limits.
    pub begun: Vec<Begun>,
    /// A person's lock that covers it.
    pub locked: Option<PersonLock>,
    /// The latest success of the very same within the command's `fresh`.
    pub just_done: Option<OtherRun>,
    /// How often this person broke the glass in the last 24 hours.
    pub glass_today: u32,
    /// Who consented so far.
    pub approvers: Vec<PersonId>,
}
