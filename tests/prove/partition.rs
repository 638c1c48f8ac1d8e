//! Two replicas on one PostgreSQL, and trouble between them: cuts, silence, a replica that is stopped or killed, a
//! failover that loses the last commits. No `once` step is done twice, and what may be done again ends without a person.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use tokio::time::Instant;

use super::lab::{self, Lab};
use super::proxy::{Proxy, Wire};
use super::{Found, Round};
use crate::bot::Bot;
use crate::cluster::Cluster;
use crate::fakes::slack::{Delivery, FakeSlack};

/// Typed around each trouble.
const COMMANDS: usize = 6;
/// The latest at which everything that may be done again has ended.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// So many rounds and more are the real thing: each trouble lasts for up to a minute.
const MANY: u32 = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    OneCut,
    BothCut,
    OneSilent,
    OneStopped,
    OneKilled,
    Failover,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::Failover,
    Trouble::OneStopped,
    Trouble::OneSilent,
    Trouble::OneKilled,
    Trouble::BothCut,
    Trouble::OneCut,
];

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let Some(cluster) = Cluster::start_new() else {
        return Found::Missing("PostgreSQL is not installed".to_owned());
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    Found::Held(runtime.block_on(part(round, cluster)))
}

struct Pair {
    slack: FakeSlack,
    labs: [Lab; 2],
    bots: [Option<Bot>; 2],
    wires: [Proxy; 2],
    cluster: Cluster,
    accepted: Vec<Delivery>,
    typed: usize,
}

async fn part(round: Round, cluster: Cluster) -> String {
    let mut random = StdRng::seed_from_u64(round.seed);
    let slack = FakeSlack::start().await;
    let url = cluster.database().await;
    let target = local(cluster.port());
    let wires = [Proxy::to(target).await, Proxy::to(target).await];
    let [one, mut two] =
        [0, 1].map(|n| Lab::new(&slack, &lab::through(&url, wires[n].address), 24));
    let first = one.home.serve().await;
    two.shares_with(&one);
    let second = two.home.serve().await;
    let mut pair = Pair {
        slack,
        labs: [one, two],
        bots: [Some(first), Some(second)],
        wires,
        cluster,
        accepted: Vec::new(),
        typed: 0,
    };
    pair.outlive_a_lease(round.seed).await;
    let mut lasted = BTreeMap::<String, u32>::new();
    let longest = if round.rounds >= MANY { 60 } else { 9 };
    for n in 0..round.rounds as usize {
        let trouble = TROUBLES[n % TROUBLES.len()];
        let who = random.random_range(0..2);
        let lasting = Duration::from_millis(random.random_range(7_000..=longest * 1_000));
        *lasted.entry(format!("{trouble:?}")).or_default() += 1;
        pair.suffer(trouble, who, lasting).await;
        pair.settle(trouble, round.seed).await;
    }
    let done = pair.done();
    let attention = pair.labs[0].roots(&pair.slack, "needs attention");
    for bot in pair.bots.into_iter().flatten() {
        assert!(bot.stop().success());
    }
    pair.labs[0].ledger_is_sound();
    assert_eq!(pair.slack.violations(), Vec::<String>::new());
    format!(
        "{lasted:?}; {} commands accepted, {} `once` steps done, none of them twice, {attention} runs left to a person",
        pair.accepted.len(),
        done.iter()
            .filter(|((_, effect), _)| effect == "once")
            .count(),
    )
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Pair {
    async fn type_some(&mut self, to: usize) {
        let Some(bot) = &self.bots[to] else { return };
        self.slack.use_http(&bot.url(""));
        let command = ["once one", "again one"][self.typed % 2];
        let channel = self.labs[0].channel(self.typed);
        self.typed += 1;
        let delivery = self.slack.mention_delivery("U1", &channel, command);
        if self.slack.deliver(&delivery).await.status == 200 {
            self.accepted.push(delivery);
        }
    }

    /// All is well, and a step takes longer than a lease: nobody takes its run away.
    async fn outlive_a_lease(&mut self, seed: u64) {
        let bot = self.bots[0].as_ref().unwrap();
        self.slack.use_http(&bot.url(""));
        let channel = self.labs[0].channel(self.typed);
        self.typed += 1;
        let ack = self.slack.slash("U1", &channel, "long one").await;
        assert_eq!((ack.status, ack.body.as_str()), (200, ""));
        let begun = Instant::now();
        while self.labs[0].ended(&self.slack) == 0 {
            let taken = self.labs[0].roots(&self.slack, "needs attention") > 0;
            assert!(
                !taken && begun.elapsed() < ENDS_WITHIN,
                "seed {seed}: a step longer than a lease was taken away from who did it: {:?}\n{}",
                self.labs[0].headlines(&self.slack),
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn suffer(&mut self, trouble: Trouble, who: usize, lasting: Duration) {
        for n in 0..COMMANDS {
            self.type_some(n % 2).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        match trouble {
            Trouble::OneCut => self.wires[who].set(Wire::Cut),
            Trouble::OneSilent => self.wires[who].set(Wire::Stalled),
            Trouble::BothCut => self.wires.iter().for_each(|wire| wire.set(Wire::Cut)),
            Trouble::OneStopped => self.bots[who].as_ref().unwrap().signal(Signal::STOP),
            Trouble::OneKilled => self.bots[who].take().unwrap().kill9(),
            Trouble::Failover => return self.fail_over().await,
        }
        let begun = Instant::now();
        // Who is whole goes on being spoken to.
        for _ in 0..COMMANDS / 2 {
            self.type_some(1 - who).await;
        }
        tokio::time::sleep(lasting.saturating_sub(begun.elapsed())).await;
        match trouble {
            Trouble::OneStopped => self.bots[who].as_ref().unwrap().signal(Signal::CONT),
            Trouble::OneKilled => self.bots[who] = Some(self.labs[who].home.serve().await),
            _ => self.wires.iter().for_each(|wire| wire.set(Wire::Open)),
        }
    }

    /// The standby stops hearing of commits, some more are made, and then the server is gone.
    async fn fail_over(&mut self) {
        let heard = Proxy::to(local(self.cluster.port())).await;
        let standby = tokio::task::block_in_place(|| self.cluster.standby(heard.address.port()));
        heard.set(Wire::Cut);
        let lost = self.accepted.len();
        for n in 0..COMMANDS {
            self.type_some(n % 2).await;
        }
        tokio::time::sleep(Duration::from_millis(1_600)).await;
        tokio::task::block_in_place(|| self.cluster.kill9());
        standby.promote();
        for wire in &self.wires {
            wire.lead_to(local(standby.port()));
        }
        drop(std::mem::replace(&mut self.cluster, standby));
        self.is_ready().await;
        // Slack did not hear of some of it either, and says it again.
        let again: Vec<Delivery> = self.accepted[lost..].to_vec();
        for (n, delivery) in again.iter().enumerate() {
            let bot = self.bots[n % 2].as_ref().unwrap();
            self.slack.use_http(&bot.url(""));
            self.slack.deliver(delivery).await;
        }
    }

    async fn is_ready(&self) {
        let begun = Instant::now();
        for bot in self.bots.iter().flatten() {
            while !bot.is_ready().await {
                assert!(begun.elapsed() < ENDS_WITHIN, "not ready; {}", self.logs());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Waits until nothing goes on any more, and looks.
    async fn settle(&self, trouble: Trouble, seed: u64) {
        self.is_ready().await;
        let begun = Instant::now();
        loop {
            // Nothing mends that: it need not be waited for.
            let done = self.done().into_iter();
            let twice: Vec<_> = done
                .filter(|((_, effect), times)| effect == "once" && *times > 1)
                .collect();
            assert!(
                twice.is_empty(),
                "{trouble:?}, seed {seed}: done twice: {twice:?}\n{}",
                self.logs()
            );
            let open = self.open();
            if open.is_empty() {
                break;
            }
            assert!(
                begun.elapsed() < ENDS_WITHIN,
                "{trouble:?}, seed {seed}: after {ENDS_WITHIN:?} there is still:\n{}\n{}",
                open.join("\n"),
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Headlines of runs that have not ended: those that may be repeated must succeed, the others may need a person.
    fn open(&self) -> Vec<String> {
        let headlines = self.labs[0].headlines(&self.slack);
        headlines
            .into_iter()
            .filter(|headline| {
                let left = headline.contains("once one") && headline.contains("needs attention");
                !(left || headline.contains("succeeded"))
            })
            .collect()
    }

    /// How often each run was done, by reference and effect.
    fn done(&self) -> BTreeMap<(String, String), u32> {
        let mut done = BTreeMap::new();
        for line in self.labs[0].marked() {
            let (reference, effect) = line.split_once(' ').expect("two words a line");
            *done
                .entry((reference.to_owned(), effect.to_owned()))
                .or_default() += 1;
        }
        done
    }

    fn logs(&self) -> String {
        format!(
            "first: {}\nsecond: {}",
            self.labs[0].home.log(),
            self.labs[1].home.log()
        )
    }
}
