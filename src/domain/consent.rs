//! Consent: whose counts, when there is enough of it, and what it is given to.
//!
//! A person counts once, however many groups they are in: who fills one place of a quorum fills no other.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Catalog, Identity, PersonId, Plan, Who};
use crate::planted;
use std::time::Duration;

/// Whose consent is needed, how much of it, and how long we wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalTerms {
    /// How many persons; at least 1. Never the requester.
    pub approvals: u32,
    /// Who may give it. Non-empty.
    pub of: Vec<Who>,
    /// Afterwards the run expires.
    pub within: Duration,
    /// What is needed besides, of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub and: Vec<Quorum>,
}

/// So many persons of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// How many; at least 1.
    pub approvals: u32,
    /// Of whom. Non-empty.
    pub of: Vec<Who>,
}

impl ApprovalTerms {
    /// All that is needed, in the order of the file.
    pub fn quorums(&self) -> impl Iterator<Item = (usize, &[Who])> {
        let first = std::iter::once((self.approvals, self.of.as_slice()));
        let others = self.and.iter().map(|it| (it.approvals, it.of.as_slice()));
        first
            .chain(others)
            .map(|(count, of)| (count.max(1) as usize, of))
    }

    /// How many persons are needed altogether.
    pub fn needed(&self) -> usize {
        self.quorums().map(|(count, _)| count).sum()
    }

    /// How many of the needed places these persons fill at most, when each fills one.
    ///
    /// `counts` says whether a person is meant. Whoever is seated first gives way where another place is open to them:
    /// Kuhn's algorithm for bipartite matching.
    pub fn filled<'p>(
        &self,
        persons: impl IntoIterator<Item = &'p PersonId>,
        counts: impl Fn(&Who, &PersonId) -> bool,
    ) -> usize {
        let mut persons: Vec<&PersonId> = persons.into_iter().collect();
        persons.sort();
        persons.dedup();
        let places: Vec<&[Who]> = self
            .quorums()
            .flat_map(|(count, of)| std::iter::repeat_n(of, count.min(persons.len())))
            .collect();
        let fits: Vec<Vec<usize>> = persons
            .iter()
            .map(|person| {
                let meant = |place: &usize| places[*place].iter().any(|who| counts(who, person));
                (0..places.len()).filter(meant).collect()
            })
            .collect();
        let mut seated: Vec<Option<usize>> = vec![None; places.len()];
        (0..persons.len())
            .filter(|person| seat(*person, &fits, &mut seated, &mut vec![false; places.len()]))
            .count()
    }
}

fn seat(
    person: usize,
    fits: &[Vec<usize>],
    seated: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for &place in &fits[person] {
        if std::mem::replace(&mut tried[place], true) {
            continue;
        }
        let free = match seated[place] {
            None => true,
            Some(other) => seat(other, fits, seated, tried),
        };
        if free {
            seated[place] = Some(person);
            return true;
        }
    }
    false
}

/// Whether this person's consent counts for these terms. Never the requester's own.
pub fn may_consent(
    terms: &ApprovalTerms,
    requester: &Identity,
    person: &PersonId,
    catalog: &Catalog,
    now: Timestamp,
) -> bool {
    (*requester != Identity::Person(person.clone()) || planted::is("own-consent-counts"))
        // A service is in groups too, and nobody stands behind what it says.
        && catalog.people.persons.contains_key(person)
        && terms
            .quorums()
            .flat_map(|(_, of)| of)
            .any(|who| catalog.people.is_meant(who, person, now))
}

/// What consent is given to: a plan that can only be shown, and the runbook that asks for the consent. When either is
/// another, consent is void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What would be done.
    plan: Plan,
    /// Hash of the runbook.
    runbook: String,
}

impl Proposal {
    /// Of a plan that was made to be shown.
    pub(super) fn new(plan: Plan, runbook: &str) -> Self {
        Self {
            plan,
            runbook: runbook.to_owned(),
        }
    }

    /// What would be done, for people.
    pub fn shown(&self) -> &Plan {
        &self.plan
    }

    /// The first digits of the plan's digest: what people compare.
    pub fn digits(&self) -> String {
        self.plan.digest().chars().take(8).collect()
    }

    /// Whether consent to this is consent to the other.
    pub fn is_same(&self, other: &Self) -> bool {
        self.runbook == other.runbook && self.plan.digest() == other.plan.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::GroupName;
    use proptest::prelude::*;

    fn who(group: usize) -> Who {
        Who::Group(GroupName::parse(&format!("g{group}")).unwrap())
    }

    fn terms(quorums: &[(u32, Vec<usize>)]) -> ApprovalTerms {
        let mut quorums = quorums.iter().map(|(approvals, groups)| Quorum {
            approvals: *approvals,
            of: groups.iter().copied().map(who).collect(),
        });
        let first = quorums.next().unwrap();
        ApprovalTerms {
            approvals: first.approvals,
            of: first.of,
            within: Duration::from_mins(15),
            and: quorums.collect(),
        }
    }

    /// Tries every way to seat them.
    fn most(places: &[Vec<usize>], persons: &[Vec<usize>]) -> usize {
        let Some((person, rest)) = persons.split_first() else {
            return 0;
        };
        let without = most(places, rest);
        let seats = (0..places.len()).filter(|it| places[*it].iter().any(|g| person.contains(g)));
        seats
            .map(|seat| {
                let mut left = places.to_vec();
                left.remove(seat);
                1 + most(&left, rest)
            })
            .fold(without, usize::max)
    }

    proptest! {
        #[test]
        fn as_many_places_are_filled_as_can_be(
            quorums in prop::collection::vec((1_u32..3, prop::collection::vec(0_usize..3, 1..3)), 1..3),
            persons in prop::collection::vec(prop::collection::vec(0_usize..3, 0..3), 0..5),
        ) {
            let terms = terms(&quorums);
            let ids: Vec<PersonId> = (0..persons.len())
                .map(|n| PersonId::parse(&format!("p{n}")).unwrap())
                .collect();
            let counts = |group: &Who, person: &PersonId| {
                let n = ids.iter().position(|it| it == person).unwrap();
                persons[n].iter().any(|it| who(*it) == *group)
            };
            let places: Vec<Vec<usize>> = quorums
                .iter()
                .flat_map(|(count, groups)| std::iter::repeat_n(groups.clone(), *count as usize))
                .collect();
            prop_assert_eq!(terms.filled(&ids, counts), most(&places, &persons));
            // Whoever says it twice counts once.
            prop_assert_eq!(terms.filled(ids.iter().chain(&ids), counts), most(&places, &persons));
        }
    }
}
