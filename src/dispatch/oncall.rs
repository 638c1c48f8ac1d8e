//! Who is on call, and shifts that persons arrange among themselves.
//!
//! Whoever is on call may more than others. So shifts are arranged by those who take part in the rotation or own a project
//! that uses it, and given to nobody else.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::link::not_now;
use super::{Walk, whisper};
use crate::domain::{
    Account, Arrangement, Cover, Fact, Message, OnCall, PersonId, Posting, PostingKind, Refusal,
    Rotation, RotationName, Shift, When, direct, render,
};
use crate::store::{Change, Conclusion, NewCovers, StoreError};

/// The longest span that is arranged at once.
const LONGEST: SignedDuration = SignedDuration::from_hours(35 * 24);
/// How far ahead shifts are arranged.
const FURTHEST: SignedDuration = SignedDuration::from_hours(400 * 24);
/// How many shifts one arrangement may change.
const MOST_AT_ONCE: usize = 20;
/// How many arrangements may be to come: those beyond would not be read.
const MOST_TO_COME: usize = 300;
/// For how many weeks the same days are looked for when nobody says what is given back.
const WEEKS_AHEAD: i64 = 26;

/// A shift of a level that is being arranged.
struct Asked<'a> {
    of: OnCall,
    rotation: &'a Rotation,
    from: Timestamp,
    until: Timestamp,
}

impl Asked<'_> {
    /// The parts of it that the person holds.
    fn held_by(&self, person: &PersonId) -> Vec<Shift> {
        held_by(person, &self.of, self.rotation, (self.from, self.until))
    }
}

fn held_by(
    person: &PersonId,
    of: &OnCall,
    rotation: &Rotation,
    (from, until): (Timestamp, Timestamp),
) -> Vec<Shift> {
    let shifts = rotation.shifts(&of.level, from, until);
    shifts
        .into_iter()
        .filter(|it| it.person == *person)
        .collect()
}

impl Walk<'_> {
    /// Who is on call now and next.
    pub(super) fn on_call(&self, rotations: &[RotationName]) -> Message {
        let known = &self.catalog.people.rotations;
        let found: Vec<_> = rotations
            .iter()
            .filter_map(|name| known.get_key_value(name))
            .collect();
        render::on_call(&found, self.now)
    }

    /// Lets somebody take a shift, whoever holds it.
    pub(super) async fn cover(&self, given: Arrangement) -> Result<Conclusion, StoreError> {
        let Some(me) = self.actor.person() else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        let taker = given.person.clone().unwrap_or_else(|| me.clone());
        let given_away = taker != *me;
        let covers = self
            .asked(&given, given_away.then_some(me))
            .and_then(|asked| {
                self.may_take(&taker, &asked)?;
                // Given away is what one holds; taken over is all of it.
                let shifts = if given_away && !asked.held_by(me).is_empty() {
                    asked.held_by(me)
                } else {
                    vec![Shift {
                        person: me.clone(),
                        from: asked.from,
                        until: asked.until,
                    }]
                };
                let covers = given_to(&taker, &asked.of, shifts);
                Ok((asked.of.rotation, covers))
            });
        match covers {
            Ok((rotation, covers)) => self.arrange(rotation, covers, me).await,
            Err(refusal) => Ok(self.refuse(&refusal)),
        }
    }

    /// Lets two persons take each other's shifts of a level.
    pub(super) async fn swap(
        &self,
        give: Arrangement,
        back: Option<When>,
    ) -> Result<Conclusion, StoreError> {
        let (Some(me), Some(other)) = (self.actor.person(), &give.person) else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        let covers = self.asked(&give, Some(me)).and_then(|asked| {
            self.may_take(other, &asked)?;
            let mine = asked.held_by(me);
            if mine.is_empty() {
                return Err(holds_nothing(&asked, me));
            }
            let theirs = self.given_back(&asked, other, back.as_ref())?;
            let mut covers = given_to(other, &asked.of, mine);
            covers.extend(given_to(me, &asked.of, theirs));
            Ok((asked.of.rotation, covers))
        });
        match covers {
            Ok((rotation, covers)) => self.arrange(rotation, covers, me).await,
            Err(refusal) => Ok(self.refuse(&refusal)),
        }
    }

    /// What is meant: `holder` is who must hold some of it where no level is named.
    fn asked(&self, given: &Arrangement, holder: Option<&PersonId>) -> Result<Asked<'_>, Refusal> {
        let rotations = &self.catalog.people.rotations;
        let all = rotations.iter().flat_map(|(name, rotation)| {
            rotation.levels.keys().map(move |level| {
                let of = OnCall {
                    level: level.clone(),
                    rotation: name.clone(),
                };
                (of, rotation)
            })
        });
        let meant = all.filter(|(of, _)| given.of.as_ref().is_none_or(|named| named == of));
        let mut meant: Vec<Asked<'_>> = meant
            .filter_map(|(of, rotation)| {
                let (from, until) = given.when.span(&rotation.zone, self.now)?;
                Some(Asked {
                    of,
                    rotation,
                    from: from.max(self.now),
                    until,
                })
            })
            .collect();
        if given.of.is_none()
            && let Some(holder) = holder
        {
            meant.retain(|asked| asked.from < asked.until && !asked.held_by(holder).is_empty());
        }
        let named: Vec<String> = meant.iter().map(|asked| asked.of.to_string()).collect();
        let one = match (meant.pop(), meant.is_empty()) {
            (Some(one), true) => one,
            (Some(_), false) => return Err(which_level(&named)),
            (None, _) => {
                return Err(not_now(
                    "no_shift",
                    "you hold no shift then".to_owned(),
                    "look with /ops oncall, or name the level: /ops oncall cover @kim sat oncall(shop)",
                ));
            }
        };
        self.within_reason(&one)?;
        Ok(one)
    }

    fn within_reason(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let refuse = |what: &str, next: &str| Err(not_now("shift_span", what.to_owned(), next));
        if asked.from >= asked.until {
            return refuse(
                "that time is over",
                "name a day to come, such as sat or 2026-12-24",
            );
        }
        if asked.until.duration_since(asked.from) > LONGEST {
            return refuse(
                "that is more than 35 days",
                "arrange less at once, or change the rotation in runbooks/people.yaml",
            );
        }
        if asked.until.duration_since(self.now) > FURTHEST {
            return refuse(
                "that is more than 400 days away",
                "arrange it when it is closer, or write a layer in runbooks/people.yaml",
            );
        }
        Ok(())
    }

    /// Both who arranges and who takes must take part in the rotation, or own a project that uses it.
    fn may_take(&self, taker: &PersonId, asked: &Asked<'_>) -> Result<(), Refusal> {
        let may = self.part_of(&asked.of.rotation, asked.rotation);
        let who = [self.actor.person(), Some(taker)];
        let Some(other) = who
            .into_iter()
            .flatten()
            .find(|person| !may.contains(*person))
        else {
            return Ok(());
        };
        let name = &asked.of.rotation;
        let what = format!(
            "@{other} takes no part in `{name}`: whoever is on call may do what runbooks allow {}",
            asked.of
        );
        let next = format!(
            "shifts are arranged by, and given to, {}; others come in by runbooks/people.yaml",
            render::persons(may.iter().take(8))
        );
        Err(not_now("not_of_rotation", what, &next))
    }

    fn part_of(&self, name: &RotationName, rotation: &Rotation) -> BTreeSet<PersonId> {
        let people = &self.catalog.people;
        let projects = self.catalog.projects.values();
        let using = projects.filter(|project| project.rotations().contains(name));
        let owners = using.filter_map(|project| people.groups.get(project.owner.as_ref()?));
        let owners = owners.flatten();
        rotation
            .persons()
            .into_iter()
            .chain(owners)
            .cloned()
            .collect()
    }

    /// Which shifts of theirs the asker takes.
    fn given_back(
        &self,
        asked: &Asked<'_>,
        other: &PersonId,
        back: Option<&When>,
    ) -> Result<Vec<Shift>, Refusal> {
        let held = |span| held_by(other, &asked.of, asked.rotation, span);
        if let Some(back) = back {
            let span = back.span(&asked.rotation.zone, self.now);
            let theirs = span.map(|(from, until)| held((from.max(self.now), until)));
            return theirs.filter(|theirs| !theirs.is_empty()).ok_or_else(|| {
                let what = format!("@{other} does not hold {} then", asked.of);
                not_now(
                    "no_shift",
                    what,
                    "look with /ops oncall, and name days of theirs",
                )
            });
        }
        let zone = &asked.rotation.zone;
        let weeks = (1..=WEEKS_AHEAD).filter_map(|n| {
            // By the clock: the same hours, whatever happened to the clocks meanwhile.
            let later = |at: Timestamp| {
                let at = at.to_zoned(zone.clone());
                Some(at.checked_add(jiff::Span::new().weeks(n)).ok()?.timestamp())
            };
            Some((later(asked.from)?, later(asked.until)?))
        });
        let mut theirs = weeks.map(held).filter(|theirs| !theirs.is_empty());
        theirs.next().ok_or_else(|| {
            let what = format!(
                "@{other} holds {} on no such days within {WEEKS_AHEAD} weeks",
                asked.of
            );
            let next = "say what you take for it: /ops oncall swap @kim sat for sun; or give it away: /ops oncall cover @kim sat";
            not_now("no_shift", what, next)
        })
    }

    async fn arrange(
        &self,
        rotation: RotationName,
        covers: Vec<Cover>,
        me: &PersonId,
    ) -> Result<Conclusion, StoreError> {
        let known = self.dispatch.store.covers().await?;
        let to_come = known
            .known
            .iter()
            .filter(|(_, it)| it.shift.until > self.now);
        if covers.len() > MOST_AT_ONCE || to_come.count() + covers.len() > MOST_TO_COME {
            return Ok(self.refuse(&not_now(
                "too_many_covers",
                format!("at most {MOST_AT_ONCE} shifts are arranged at once, and {MOST_TO_COME} are to come"),
                "arrange fewer days, or change the rotation in runbooks/people.yaml",
            )));
        }
        let Some((name, by_files)) = self.catalog.people.rotations.get_key_value(&rotation) else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        let message = render::covered((name, by_files), &covers, me);
        let mut concerned: BTreeSet<PersonId> = BTreeSet::new();
        for Cover { level, shift } in &covers {
            concerned.insert(shift.person.clone());
            let before = by_files.shifts(level, shift.from, shift.until);
            concerned.extend(before.into_iter().map(|it| it.person));
        }
        concerned.remove(me);
        let mut postings = vec![self.aloud(message.clone())];
        postings.extend(
            concerned
                .iter()
                .flat_map(|person| self.to_person(person, &message)),
        );
        Ok(Conclusion {
            inbound: self.inbound.key.clone(),
            fact: Fact::Covered {
                inbound: self.inbound.key.clone(),
                actor: self.actor.identity.clone(),
                rotation: rotation.clone(),
                covers: covers.clone(),
            },
            change: Change::Covers(NewCovers {
                rotation,
                covers,
                last: known.last,
            }),
            postings,
        })
    }

    /// An answer that everybody sees where it was asked for.
    pub(super) fn aloud(&self, message: Message) -> Posting {
        let mut posting = whisper(self.inbound, message);
        posting.kind = PostingKind::Answer;
        posting
    }

    /// Direct messages to a person, one for each account that can be reached.
    pub(super) fn to_person(&self, person: &PersonId, message: &Message) -> Vec<Posting> {
        let reaches = |platform| self.dispatch.mirrors_on.contains(&platform);
        let accounts = self.catalog.people.accounts_of(person);
        let reached = accounts.into_iter().filter(|it| reaches(it.platform));
        reached
            .map(|account: Account| direct(&account, message.clone()))
            .collect()
    }
}

fn given_to(taker: &PersonId, of: &OnCall, shifts: Vec<Shift>) -> Vec<Cover> {
    let taken = shifts.into_iter().map(|shift| Cover {
        level: of.level.clone(),
        shift: Shift {
            person: taker.clone(),
            ..shift
        },
    });
    taken.collect()
}

fn which_level(named: &[String]) -> Refusal {
    let usual = named.iter().find(|it| it.starts_with("oncall("));
    let example = usual
        .or(named.first())
        .map_or("oncall(shop)", String::as_str);
    not_now(
        "which_level",
        format!("it could be any of {}", named.join(", ")),
        &format!("name one at the end of the line: {example}"),
    )
}

fn holds_nothing(asked: &Asked<'_>, person: &PersonId) -> Refusal {
    not_now(
        "no_shift",
        format!("@{person} does not hold {} then", asked.of),
        "look with /ops oncall; /ops oncall cover takes a shift over without giving one",
    )
}
