//! People who type, press and are impatient; and the platform that hands over what they said: late, twice, out of order.

use jiff::{SignedDuration, Timestamp};
use midwatch::domain::{
    Button, Inbound, InboundKey, Manner, Place, Platform, Reference, Source, Speaker, SpeakerKind,
};
use midwatch::store::{Change, Receipt};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::ground::Violation;
use super::yard::{CHANNELS, ENVIRONMENTS, KINDS, PEOPLE, leads};
use super::{After, World};

/// Something that was said and that the platform still has to hand over.
pub(super) struct Delivery {
    inbound: Inbound,
    /// By the platform's clock.
    not_before: i64,
}

impl World<'_> {
    /// Somebody types something, most often a command.
    pub(super) fn type_something(&mut self) {
        let random = &mut self.random;
        let kind = KINDS.choose_weighted(random, |kind| kind.weight);
        let kind = kind.expect("there are commands").name;
        let environment = ENVIRONMENTS.choose(random).expect("there are some");
        let runs = self.ground.book.runs();
        let references: Vec<&Reference> = runs.map(|run| &run.reference).collect();
        let any = references.choose(random).map_or("7f3k", |it| it.as_str());
        let text = match random.random_range(0..100) {
            0..72 => format!("{kind} {environment}"),
            72..76 => format!("{kind} {environment} --again reason=because"),
            76..79 => format!("{kind} nowhere"),
            79..81 => "no-such-command".to_owned(),
            81..83 => "help".to_owned(),
            83..86 => "runs".to_owned(),
            86..89 => format!("show {any}"),
            89..91 => format!("why {any}"),
            91..94 => format!("cancel {any}"),
            94..96 => format!("approve {any}"),
            96..98 => format!("settle {any} again"),
            _ => format!("reject {any} because"),
        };
        let who = PEOPLE.choose(random).expect("there are people");
        let channel = CHANNELS.choose(random).expect("there are channels");
        let manner = if random.random_bool(0.03) {
            Manner::Edited
        } else {
            Manner::Said
        };
        let thread = random.random_bool(0.1).then(|| "t1".to_owned());
        self.say(who, channel, thread, text, manner);
    }

    /// Somebody presses a button that stands somewhere. Who settles has looked at the target, and tells the truth.
    pub(super) fn press_something(&mut self) {
        let buttons = self.platform.buttons();
        // Of those that tell more or call somebody the stories tell.
        let passed_over =
            |says: &str| says == "list" || says.starts_with("ask ") || says.starts_with("join ");
        let mut buttons: Vec<_> = buttons.filter(|(_, it)| !passed_over(&it.says)).collect();
        if self.random.random_bool(0.8) {
            // Mostly what still counts: the open runs' own.
            let open = |says: &str| {
                let mut words = says.split(' ').skip(1).filter_map(Reference::parse);
                let run = words.find_map(|it| self.ground.book.run_by_reference(&it));
                run.is_some_and(|run| run.holds_lock() || run.outcome().is_none())
            };
            buttons.retain(|(_, button)| open(&button.says));
        }
        // What stops a run is pressed less often than what lets it go on.
        let weight = |(_, button): &(&str, &Button)| match button.says.split(' ').next() {
            Some("cancel" | "reject") => 1,
            Some("approve") => 6,
            _ => 4,
        };
        let Ok((channel, button)) = buttons.choose_weighted(&mut self.random, weight) else {
            return;
        };
        let (channel, mut says) = ((*channel).to_owned(), button.says.clone());
        if let Some(rest) = says.strip_prefix("settle ") {
            let (reference, verdict) = rest.split_once(' ').expect("the button says both");
            let verdict = if verdict == "again" {
                verdict
            } else {
                self.truth(reference)
            };
            says = format!("settle {reference} {verdict}");
        }
        let everybody: &[&str] = if self.random.random_bool(0.6) {
            &leads(self.revision)
        } else {
            &PEOPLE
        };
        let who = everybody
            .choose(&mut self.random)
            .expect("there are people");
        self.say(who, &channel, None, says, Manner::Said);
    }

    /// Whether the step that is in doubt happened.
    pub(super) fn truth(&self, reference: &str) -> &'static str {
        let reference = Reference::parse(reference).expect("a run's own");
        let run = self.ground.book.run_by_reference(&reference);
        let happened = run.is_some_and(|run| {
            let in_doubt = run.unsettled_step();
            in_doubt.is_some_and(|position| self.target.times(run.id, position) > 0)
        });
        if happened { "happened" } else { "did-not" }
    }

    pub(super) fn say(
        &mut self,
        who: &str,
        channel: &str,
        thread: Option<String>,
        text: String,
        manner: Manner,
    ) {
        self.said += 1;
        self.note(|| format!("{who} says `{text}` in {channel}"));
        let sent_at = Timestamp::from_millisecond(self.true_ms).expect("a time of this century");
        let robot = self.random.random_bool(0.02) && !self.calm;
        let inbound = Inbound {
            key: InboundKey::new(&["slack", "T1", channel, &self.said.to_string()]),
            source: Source::Chat,
            speaker: Speaker {
                platform: Platform::Slack,
                space: "T1".to_owned(),
                id: format!("U0{}", who.to_uppercase()),
                kind: if robot {
                    SpeakerKind::Bot
                } else {
                    SpeakerKind::Person
                },
            },
            place: Place {
                platform: Platform::Slack,
                space: "T1".to_owned(),
                channel: channel.to_owned(),
                thread,
            },
            manner,
            text,
            sent_at,
            received_at: sent_at,
            form_handle: None,
        };
        let mut delays = vec![match self.random.random_range(0..100) {
            _ if self.calm => 0,
            0..85 => self.random.random_range(0..400),
            85..95 => self.random.random_range(1_000..59_000),
            _ => self.random.random_range(60_000..400_000),
        }];
        while self.random.random_bool(0.2) && !self.calm {
            delays.push(self.random.random_range(0..400_000));
        }
        self.deliveries
            .extend(delays.into_iter().map(|delay| Delivery {
                inbound: inbound.clone(),
                not_before: self.true_ms + delay,
            }));
    }

    /// The platform hands something over. `None` when there is nothing, or not yet.
    pub(super) fn hand_over(&mut self) -> Result<Option<After>, Violation> {
        let ready = |it: &(usize, &Delivery)| self.calm || it.1.not_before <= self.true_ms;
        let ready = self.deliveries.iter().enumerate().filter(ready);
        let ready: Vec<usize> = ready.map(|(position, _)| position).collect();
        let Some(position) = ready.choose(&mut self.random) else {
            return Ok(None);
        };
        let mut delivery = self.deliveries.swap_remove(*position);
        delivery.inbound.received_at = self.now();
        let receipt = self.ground.receive(&delivery.inbound)?;
        self.note(|| format!("`{}` arrives: {receipt:?}", delivery.inbound.text));
        self.judge
            .received(&delivery.inbound, receipt == Receipt::New)?;
        // The acknowledgement is lost: it comes again, as if nobody had taken it.
        if self.random.random_bool(0.05) && !self.calm {
            delivery.not_before = self.true_ms + self.random.random_range(0..300_000);
            self.deliveries.push(delivery);
        }
        Ok(Some(After::Received))
    }

    /// Somebody at the desk walks an inbound, or concludes one that was walked.
    pub(super) fn dispatch(&mut self) -> Result<Option<After>, Violation> {
        let walking = |it: &Inbound| self.walked.iter().any(|(other, ..)| other.key == it.key);
        let waiting = self.ground.book.waiting();
        let waiting: Vec<_> = waiting.filter(|inbound| !walking(inbound)).collect();
        let conclude = waiting.is_empty() || self.random.random_bool(0.6);
        if self.walked.is_empty() || !conclude {
            let Some(inbound) = waiting.choose(&mut self.random) else {
                return Ok(None);
            };
            let (now, catalog) = (self.now(), &self.catalogs[self.revision]);
            let inbound: Inbound = (*inbound).clone();
            let walked = self.ground.walk(&inbound, catalog, now)?;
            self.walked.push((inbound, walked, self.revision));
            return Ok(Some(After::Walked));
        }
        let position = self.random.random_range(0..self.walked.len());
        let (inbound, walked, revision) = self.walked.swap_remove(position);
        let (conclusion, now) = (walked.conclusion(), walked.at);
        let fact = || serde_json::to_string(&conclusion.fact).expect("a fact is JSON");
        let fact = self.trace.is_some().then(fact).unwrap_or_default();
        let book = &self.ground.book;
        let right = self
            .judge
            .concludes(&inbound, conclusion, book, (now, revision));
        let happened = match &conclusion.change {
            Change::Happened { run, events, .. } => {
                let before = book.run(*run).cloned();
                before.map(|before| (before, events.clone()))
            }
            _ => None,
        };
        if !self.ground.conclude(walked)? {
            self.note(|| format!("`{}` met a conflict", inbound.text));
            self.judge.met_a_conflict(&inbound);
            self.conflicts += 1;
            return Ok(Some(After::Walked));
        }
        self.note(|| format!("`{}`: {fact}", inbound.text));
        // Judged only now: what met a conflict never came to be.
        right?;
        if let Some((before, events)) = happened {
            let after = self.ground.book.run(before.id).ok_or("the run is gone")?;
            self.judge
                .happened(&before, &events, after, now, &self.target)?;
        }
        Ok(Some(After::Concluded))
    }

    /// Time passes for everybody, or our own clock goes wrong, or is put right.
    pub(super) fn move_clocks(&mut self) {
        let random = &mut self.random;
        match random.random_range(0..10) {
            _ if self.offset_ms != 0 && random.random_bool(0.5) => self.offset_ms = 0,
            0..4 => self.true_ms += random.random_range(500..20_000),
            4..6 => self.true_ms += random.random_range(20_000..150_000),
            6 => self.true_ms += random.random_range(150_000..7_200_000),
            7 => self.offset_ms = random.random_range(1_000..3_600_000),
            8 => self.offset_ms = -random.random_range(1_000..3_600_000),
            _ => self.offset_ms = 0,
        }
        self.judge.first_is_unclear |= self.offset_ms != 0;
        let (now, offset) = (self.now(), SignedDuration::from_millis(self.offset_ms));
        self.note(|| format!("it is {now}, {offset} off"));
    }
}
