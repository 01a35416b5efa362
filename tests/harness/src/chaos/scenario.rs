//! What is tried: topics, workers, and the faults that a seed chooses.

use std::time::Duration;

use super::check::Expectation;
use super::fault::{Brokers, Fault, Schedule};
use super::random::Random;
use super::worker::Protocol;
use super::workload::{Flavour, TopicPlan};

/// One try, with all its choices made.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    pub(crate) topics: Vec<TopicPlan>,
    /// At the start.
    pub(crate) workers: usize,
    /// Records in a second.
    pub(crate) rate: u64,
    /// The longest call.
    pub(crate) work: Duration,
    pub(crate) protocol: Protocol,
    pub(crate) session: Duration,
    pub(crate) schedule: Schedule,
    pub(crate) expectation: Expectation,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Short,
    Long,
}

/// A scenario that a name asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    make: fn(u64, Size) -> Scenario,
}

impl Kind {
    pub(crate) fn make(&self, seed: u64, size: Size) -> Scenario {
        (self.make)(seed, size)
    }
}

/// All there are.
pub(crate) const KINDS: [Kind; 1] = [
    Kind {
        name: "kills",
        about: "kill -9 of workers, others come and go; records of every kind",
        make: kills,
    },
];

const PLAIN: TopicPlan = TopicPlan {
    name: "plain",
    flavour: Flavour::Plain,
    partitions: 6,
    records: 0,
    is_hot: false,
    is_clean: false,
};

fn scenario(name: &'static str, seed: u64, size: Size) -> Scenario {
    let (records, rate) = match size {
        Size::Short => (6_000, 400),
        Size::Long => (40_000, 1_500),
    };
    Scenario {
        name,
        seed,
        topics: vec![TopicPlan { records, ..PLAIN }],
        workers: 3,
        rate,
        work: Duration::from_millis(12),
        protocol: Protocol::Cooperative,
        session: Duration::from_secs(6),
        schedule: Schedule::default(),
        expectation: Expectation {
            dead_letters: 10,
            ..Expectation::default()
        },
    }
}

impl Scenario {
    /// How long it takes to write the records at the rate.
    fn writing_ms(&self) -> u64 {
        let records: usize = self.topics.iter().map(|topic| topic.records).sum();
        u64::try_from(records).unwrap_or(u64::MAX) * 1000 / self.rate
    }
}

fn kills(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("kills", seed, size);
    let mut random = Random::of(seed, "kills");
    let mut at = 500;
    let mut kills = 0;
    while at < this.writing_ms().saturating_sub(2000) {
        if random.per_mille(600) {
            kills += 1;
            this.schedule.add(at, Fault::Kill(random.next()));
            this.schedule.add(at + 300 + random.below(2000), Fault::Join);
        } else {
            this.schedule.add(at, Fault::Terminate(random.next()));
            this.schedule.add(at + random.below(2000), Fault::Join);
        }
        at += 1500 + random.below(3000);
    }
    this.expectation.kills_in_flight = kills.min(1);
    this.expectation.rebalances = 2;
    this
}

#[expect(dead_code, reason = "todo")]
fn unused() -> Brokers { Brokers::All }
