//! What is written into the files: plain words and numbers, known to the oracle as they are.

use jiff::Timestamp;
use jiff::civil::{DateTime, Weekday};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::oracle::Asked;
use super::{person, some};

pub(super) const PERSONS: [&str; 5] = ["ana", "bo", "cy", "dana", "eve"];
pub(super) const GROUPS: [&str; 3] = ["red", "green", "blue"];
pub(super) const ENVIRONMENTS: [&str; 2] = ["left", "right"];
const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/New_York"];
const HOURS: [(i8, i8); 5] = [(0, 0), (2, 30), (9, 0), (17, 30), (23, 0)];
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A command: whether it only reads, takes an environment, a number `n`, hosts.
pub(super) const COMMANDS: [Kind; 4] = [
    Kind {
        name: "look",
        reads: true,
        environment: false,
        fresh: false,
        takes: Takes::Nothing,
    },
    Kind {
        name: "flush",
        reads: false,
        environment: true,
        fresh: true,
        takes: Takes::Nothing,
    },
    Kind {
        name: "scale",
        reads: false,
        environment: true,
        fresh: false,
        takes: Takes::Number,
    },
    Kind {
        name: "boot",
        reads: false,
        environment: true,
        fresh: true,
        takes: Takes::Hosts,
    },
];

#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) reads: bool,
    pub(super) environment: bool,
    /// Within ten minutes it is held.
    pub(super) fresh: bool,
    pub(super) takes: Takes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Number,
    Hosts,
}

#[derive(Debug)]
pub(super) struct Written {
    pub(super) groups: Vec<(&'static str, Vec<&'static str>)>,
    pub(super) rotation: Turns,
    pub(super) rules: Vec<Rule>,
    pub(super) freezes: Vec<Freeze>,
    /// How many changes in a minute: of one person, of all.
    pub(super) limits: (Option<usize>, Option<usize>),
}

#[derive(Debug)]
pub(super) struct Turns {
    pub(super) zone: &'static str,
    pub(super) starts: DateTime,
    pub(super) days: i64,
    pub(super) persons: Vec<&'static str>,
}

#[derive(Debug)]
pub(super) struct Rule {
    /// `reads`, `everything`, or names.
    pub(super) may: Vec<&'static str>,
    pub(super) environments: Option<Vec<&'static str>>,
    pub(super) who: Vec<&'static str>,
    pub(super) when: Option<Window>,
    pub(super) condition: Option<Where>,
    pub(super) gives: Gives,
    /// The line in the file, counted from 1.
    pub(super) line: u32,
}

#[derive(Debug)]
pub(super) enum Where {
    Between(i64, i64),
    OneOfNumbers(Vec<i64>),
    Hosts(Vec<&'static str>),
}

#[derive(Debug)]
pub(super) enum Gives {
    Allow,
    /// So many of these, and of others.
    After(Vec<(usize, Vec<&'static str>)>),
    Glass(u32),
    Never,
}

#[derive(Debug)]
pub(super) struct Window {
    pub(super) days: Vec<Weekday>,
    pub(super) from: (i8, i8),
    pub(super) to: (i8, i8),
    pub(super) zone: &'static str,
    text: String,
}

#[derive(Debug)]
pub(super) struct Freeze {
    pub(super) window: Window,
    pub(super) environments: Option<Vec<&'static str>>,
    pub(super) except: Option<&'static str>,
    pub(super) unless: Option<Vec<&'static str>>,
}

const WHO: [&str; 10] = [
    "ana",
    "bo",
    "cy",
    "dana",
    "eve",
    "red",
    "green",
    "blue",
    "everyone",
    "oncall(turns)",
];

impl Written {
    pub(super) fn random(random: &mut StdRng) -> Self {
        let groups = GROUPS.map(|group| (group, some(random, &PERSONS)));
        let mut turns = some(random, &PERSONS);
        turns.shuffle(random);
        let (hour, minute) = *HOURS.choose(random).expect("some");
        let rotation = Turns {
            zone: ZONES.choose(random).expect("some"),
            starts: jiff::civil::date(2026, 1, random.random_range(1..=28)).at(hour, minute, 0, 0),
            days: random.random_range(1..=9),
            persons: turns,
        };
        let count = random.random_range(1..=8);
        let mut rules: Vec<Rule> = (0..count).map(|_| Rule::random(random)).collect();
        // Eight lines stand before the first rule, and each rule takes one.
        for (position, rule) in rules.iter_mut().enumerate() {
            rule.line = FIRST_RULE + u32::try_from(position).expect("few");
        }
        let freezes = (0..random.random_range(0..=2))
            .map(|_| Freeze::random(random))
            .collect();
        Self {
            groups: groups.into(),
            rotation,
            rules,
            freezes,
            limits: if random.random_bool(0.3) {
                let a_person = random.random_bool(0.7).then(|| random.random_range(1..=3));
                let all = random.random_bool(0.7).then(|| random.random_range(2..=5));
                (a_person, all)
            } else {
                (None, None)
            },
        }
    }

    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        let environment = "  environment: { type: environment }\n";
        let head = |name: &str, more: &str| {
            format!(
                "command: {name}\ndoes: It.\nundo: none\ncheck: look\n{more}parameters:\n{environment}"
            )
        };
        vec![
            ("runbooks/people.yaml", self.people()),
            ("runbooks/shop.yaml", self.runbook()),
            (
                "commands/look.yaml",
                "command: look\ndoes: Looks.\nsteps: [{ name: x, run: [uptime], effect: read }]\n"
                    .to_owned(),
            ),
            (
                "commands/flush.yaml",
                head("flush", "fresh: 10m\n") + "steps: [{ name: x, run: [uptime] }]\n",
            ),
            (
                "commands/scale.yaml",
                head("scale", "one_at_a_time: environment\n")
                    + "  n: { type: integer, min: 0, max: 9 }\nsteps: [{ name: x, run: [uptime] }]\n",
            ),
            (
                "commands/boot.yaml",
                head("boot", "fresh: 10m\n")
                    + "  hosts: { type: list, of: choice, choices: [a, b, c] }\nsteps: [{ name: x, run: [uptime] }]\n",
            ),
        ]
    }

    fn people(&self) -> String {
        let mut text = "people:\n".to_owned();
        for name in PERSONS {
            let account = name.to_uppercase();
            text += &format!("  {name}: {{ name: {name}, slack: U0{account} }}\n");
        }
        text += "groups:\n";
        for (group, members) in &self.groups {
            text += &format!("  {group}: [{}]\n", members.join(", "));
        }
        let Turns {
            zone,
            starts,
            days,
            persons,
        } = &self.rotation;
        let starts = starts.strftime("%Y-%m-%d %H:%M");
        text + &format!(
            "rotations:\n  turns: {{ zone: {zone}, starts: \"{starts}\", every: {days}d, levels: {{ oncall: [{}] }} }}\n",
            persons.join(", ")
        )
    }

    pub(super) fn runbook(&self) -> String {
        let mut text = "project: shop\nabout: The shop.\nowner: red\nchannels: [C1]\nenvironments:\n  left: {}\n  right: {}\nrules:\n".to_owned();
        for rule in &self.rules {
            text += &rule.text();
        }
        text += "  - otherwise: ask in the channel\n";
        if !self.freezes.is_empty() {
            text += "freezes:\n";
        }
        for freeze in &self.freezes {
            text += &freeze.text();
        }
        let (a_person, all) = self.limits;
        let limits = [("a_person", a_person), ("all", all)];
        let limits = limits
            .iter()
            .filter_map(|(key, limit)| Some(format!("{key}: {}", (*limit)?)));
        let limits: Vec<String> = limits.collect();
        if !limits.is_empty() {
            text += &format!("limits: {{ {} }}\n", limits.join(", "));
        }
        text
    }

    /// The line of `otherwise`.
    pub(super) fn last_line(&self) -> u32 {
        FIRST_RULE + u32::try_from(self.rules.len()).expect("few")
    }

    pub(super) fn question(&self, random: &mut StdRng) -> Asked {
        let kind = *COMMANDS.choose(random).expect("some");
        let environment = kind
            .environment
            .then(|| *ENVIRONMENTS.choose(random).expect("some"));
        let number = (kind.takes == Takes::Number).then(|| random.random_range(0..=9));
        let hosts = match kind.takes {
            Takes::Hosts => some(random, &["a", "b", "c"]),
            Takes::Nothing | Takes::Number => Vec::new(),
        };
        let mut text = kind.name.to_owned();
        if let Some(environment) = environment {
            text += &format!(" {environment}");
        }
        if let Some(number) = number {
            text += &format!(" n={number}");
        }
        if !hosts.is_empty() {
            text += &format!(" hosts={}", hosts.join(","));
        }
        let again = random.random_bool(0.2);
        let reason = random.random_bool(0.5);
        if again {
            text += " --again";
        }
        if reason {
            text += " reason=because";
        }
        let begins: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a moment");
        let minutes = random.random_range(0..60 * 24 * 400_i64);
        Asked {
            text,
            kind,
            environment,
            number,
            hosts,
            person: person(random),
            now: begins + jiff::SignedDuration::from_mins(minutes),
            insists: again && reason,
            glass: random.random_bool(0.15),
            glass_today: random.random_range(0..4),
            late: random.random_bool(0.05),
            running: random.random_bool(0.1),
            just_done: random.random_bool(0.2),
            locked_by: random.random_bool(0.1).then(|| person(random)),
            begun: {
                let mut ago = 0;
                let count = random.random_range(0..=6);
                let begun = (0..count).map(|_| {
                    ago += random.random_range(0..=9);
                    (person(random), ago)
                });
                begun.collect()
            },
            approvers: if random.random_bool(0.5) {
                some(random, &PERSONS)
            } else {
                Vec::new()
            },
        }
    }
}

const FIRST_RULE: u32 = 9;

impl Rule {
    fn random(random: &mut StdRng) -> Self {
        let may = match random.random_range(0..6) {
            0 => vec!["reads"],
            1 => vec!["everything"],
            _ => some(random, &COMMANDS.map(|kind| kind.name)),
        };
        let condition = match may.as_slice() {
            ["scale"] if random.random_bool(0.6) => Some(if random.random_bool(0.5) {
                let from = random.random_range(0..=9);
                Where::Between(from, random.random_range(from..=9))
            } else {
                Where::OneOfNumbers(some(random, &[1, 3, 5, 7]))
            }),
            ["boot"] if random.random_bool(0.6) => {
                Some(Where::Hosts(some(random, &["a", "b", "c"])))
            }
            _ => None,
        };
        Self {
            may,
            environments: random.random_bool(0.5).then(|| some(random, &ENVIRONMENTS)),
            who: some(random, &WHO),
            when: random.random_bool(0.3).then(|| Window::random(random)),
            condition,
            gives: match random.random_range(0..10) {
                0..5 => Gives::Allow,
                5..7 => {
                    let mut all = vec![(random.random_range(1..=2), some(random, &WHO))];
                    if random.random_bool(0.3) {
                        all.push((1, some(random, &WHO)));
                    }
                    Gives::After(all)
                }
                7..9 => Gives::Glass(random.random_range(1..=3)),
                _ => Gives::Never,
            },
            line: 0,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("  - {{ may: [{}]", self.may.join(", "));
        if let Some(environments) = &self.environments {
            text += &format!(", in: [{}]", environments.join(", "));
        }
        text += &format!(", who: [{}]", self.who.join(", "));
        if let Some(window) = &self.when {
            text += &format!(", when: \"{}\"", window.text);
        }
        match &self.condition {
            None => {}
            Some(Where::Between(min, max)) => {
                text += &format!(", where: {{ n: {{ min: {min}, max: {max} }} }}");
            }
            Some(Where::OneOfNumbers(numbers)) => {
                text += &format!(", where: {{ n: {numbers:?} }}");
            }
            Some(Where::Hosts(hosts)) => {
                text += &format!(", where: {{ hosts: [{}] }}", hosts.join(", "));
            }
        }
        match &self.gives {
            Gives::Allow => {}
            Gives::After(quorums) => {
                let (count, of) = &quorums[0];
                text += &format!(", after: {{ approvals: {count}, of: [{}]", of.join(", "));
                if let Some((count, of)) = quorums.get(1) {
                    text += &format!(", and: [{{ approvals: {count}, of: [{}] }}]", of.join(", "));
                }
                text += " }";
            }
            Gives::Glass(a_day) => text += &format!(", break_glass: {{ a_day: {a_day} }}"),
            Gives::Never => text += ", never: it hurts",
        }
        text + " }\n"
    }
}

impl Window {
    fn random(random: &mut StdRng) -> Self {
        let from = random.random_range(0..7);
        let length = random.random_range(0..6);
        let days: Vec<Weekday> = (0..=length).map(|n| DAYS[(from + n) % 7].1).collect();
        let words = if length == 0 {
            DAYS[from].0.to_owned()
        } else {
            format!("{}-{}", DAYS[from].0, DAYS[(from + length) % 7].0)
        };
        let (begins, ends) = (
            *HOURS.choose(random).expect("some"),
            *HOURS.choose(random).expect("some"),
        );
        let zone = *ZONES.choose(random).expect("some");
        let text = format!(
            "{words} {:02}:{:02}-{:02}:{:02} {zone}",
            begins.0, begins.1, ends.0, ends.1
        );
        Self {
            days,
            from: begins,
            to: ends,
            zone,
            text,
        }
    }
}

impl Freeze {
    fn random(random: &mut StdRng) -> Self {
        Self {
            window: Window::random(random),
            environments: random.random_bool(0.5).then(|| some(random, &ENVIRONMENTS)),
            except: random.random_bool(0.3).then_some("boot"),
            unless: random.random_bool(0.3).then(|| some(random, &WHO)),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("  - {{ when: \"{}\", reason: quiet", self.window.text);
        if let Some(environments) = &self.environments {
            text += &format!(", in: [{}]", environments.join(", "));
        }
        if let Some(except) = self.except {
            text += &format!(", except: {except}");
        }
        if let Some(unless) = &self.unless {
            text += &format!(", unless: [{}]", unless.join(", "));
        }
        text + " }\n"
    }
}
