//! What is tried: topics, workers, and the faults that a seed chooses.

use std::time::Duration;

use super::check::Expectation;
use super::fault::{Brokers, Fault, Network, Request, Schedule};
use super::random::Random;
use super::worker::Protocol;
use super::workload::{Flavour, Mix, TopicPlan};

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
    /// Handlers have retry topics, those of [`PARKS`].
    pub(crate) has_retry_topics: bool,
    /// Workers go on at the oldest record if theirs is not there any more.
    pub(crate) goes_on: bool,
    /// Workers use the way on which the network can be hurt.
    pub(crate) is_proxied: bool,
    /// librdkafka's `debug` in the workers.
    pub(crate) client_debug: Option<String>,
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
    /// Part of the short profile.
    pub(crate) is_short: bool,
    /// The long profile runs it with every second of its seeds, others once.
    pub(crate) is_repeated: bool,
    make: fn(u64, Size) -> Scenario,
}

impl Kind {
    pub(crate) fn make(&self, seed: u64, size: Size) -> Scenario {
        (self.make)(seed, size)
    }
}

/// All there are.
pub(crate) const KINDS: [Kind; 12] = [
    Kind {
        name: "kills",
        about: "kill -9 of workers, others come and go; records of every kind",
        is_short: true,
        is_repeated: true,
        make: kills,
    },
    Kind {
        name: "storm",
        about: "workers join and leave in order every 2 s",
        is_short: true,
        is_repeated: true,
        make: storm,
    },
    Kind {
        name: "parked",
        about: "retry topics, single records and batches, one of twenty parked; workers are killed",
        is_short: true,
        is_repeated: true,
        make: parked,
    },
    Kind {
        name: "zombie",
        about: "a worker sleeps through its session and wakes up; nine of ten records have the same key",
        is_short: true,
        is_repeated: false,
        make: zombie,
    },
    Kind {
        name: "topics",
        about: "a compacted topic and one with transactions, which have gaps; workers are killed",
        is_short: true,
        is_repeated: false,
        make: topics,
    },
    Kind {
        name: "brokers",
        about: "kill -9 of a leader, of the group's coordinator, and of all brokers",
        is_short: true,
        is_repeated: false,
        make: brokers,
    },
    Kind {
        name: "network",
        about: "late answers, one way cut, connections reset, single requests held; members come and go",
        is_short: true,
        is_repeated: false,
        make: network,
    },
    Kind {
        name: "denied",
        about: "nobody may write to the dead letter topic for a while; workers stop and are killed meanwhile",
        is_short: true,
        is_repeated: false,
        make: denied,
    },
    Kind {
        name: "retention",
        about: "records are deleted while the group is away, and ahead of workers that sleep",
        is_short: true,
        is_repeated: false,
        make: retention,
    },
    Kind {
        name: "batches",
        about: "batches, no retry topics; workers are killed, others come and go",
        is_short: false,
        is_repeated: false,
        make: batches,
    },
    Kind {
        name: "rolling",
        about: "rolling restarts in order: nothing may be handled twice",
        is_short: false,
        is_repeated: false,
        make: rolling,
    },
    Kind {
        name: "stops",
        about: "SIGTERM at random moments, with brokers up and down: each ends in its grace + 2 s",
        is_short: false,
        is_repeated: false,
        make: stops,
    },
];

const PLAIN: TopicPlan = TopicPlan {
    name: "plain",
    flavour: Flavour::Plain,
    partitions: 6,
    records: 0,
    is_hot: false,
    mix: Mix::Usual,
    is_batched: false,
};

/// The waits of retry topics in milliseconds, and how their names end.
pub(crate) const PARKS: [(u64, &str); 2] = [(500, "500ms"), (2000, "2s")];

/// Between faults of workers, on average.
const PAUSE: u64 = 3000;

fn scenario(name: &'static str, seed: u64, size: Size) -> Scenario {
    // Some calls run in each worker at any time.
    let (records, rate, work) = match size {
        Size::Short => (4_000, 400, 100),
        Size::Long => (40_000, 2_000, 40),
    };
    Scenario {
        name,
        seed,
        topics: vec![TopicPlan { records, ..PLAIN }],
        workers: 3,
        rate,
        work: Duration::from_millis(work),
        protocol: Protocol::Cooperative,
        session: Duration::from_secs(6),
        schedule: Schedule::default(),
        expectation: Expectation {
            dead_letters: 10,
            ..Expectation::default()
        },
        has_retry_topics: false,
        goes_on: false,
        is_proxied: false,
        client_debug: None,
    }
}

impl Scenario {
    /// How long it takes to write the records at the rate.
    fn writing_ms(&self) -> u64 {
        let records: usize = self.topics.iter().map(|topic| topic.records).sum();
        u64::try_from(records).unwrap_or(u64::MAX) * 1000 / self.rate
    }

    /// Writes for as long as there are faults.
    fn write_for(&mut self, ms: u64) {
        let each = self.rate * ms / 1000 / u64::try_from(self.topics.len()).unwrap_or(1);
        for topic in &mut self.topics {
            topic.records = usize::try_from(each).unwrap_or(usize::MAX);
        }
    }

    /// No record fails, and no fault takes the chance to commit away.
    fn without_duplicates(mut self) -> Self {
        for topic in &mut self.topics {
            topic.mix = Mix::Clean;
        }
        self.expectation.dead_letters = 0;
        self.expectation.no_duplicates = true;
        self
    }
}

fn kills(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("kills", seed, size);
    add_kills(&mut this, seed);
    this
}

fn add_kills(this: &mut Scenario, seed: u64) {
    let mut random = Random::of(seed, "kills");
    let mut at = 3000;
    let mut kills = 0;
    while at < this.writing_ms().saturating_sub(2000) {
        if kills == 0 || random.per_mille(600) {
            kills += 1;
            this.schedule.add(at, Fault::Kill(random.next()));
            this.schedule
                .add(at + 300 + random.below(2000), Fault::Join);
            // The group waits for the dead one; now and then something else happens meanwhile.
            if random.per_mille(700) {
                at += millis(this.session);
            }
        } else {
            this.schedule.add(at, Fault::Terminate(random.next()));
            this.schedule.add(at + random.below(2000), Fault::Join);
        }
        at += PAUSE / 2 + random.below(PAUSE);
    }
    this.expectation.kills_in_flight = 1;
    this.expectation.rebalances = 2;
}

fn storm(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("storm", seed, size).without_duplicates();
    if size == Size::Short {
        this.write_for(12_000);
    }
    let mut random = Random::of(seed, "storm");
    let (mut at, mut workers) = (500, this.workers);
    while at < this.writing_ms() {
        let joins = workers <= 2 || (workers < 5 && random.per_mille(500));
        if joins {
            this.schedule.add(at, Fault::Join);
            workers += 1;
        } else {
            this.schedule.add(at, Fault::Terminate(random.next()));
            workers -= 1;
        }
        at += 2000;
    }
    this.expectation.rebalances = 5;
    this
}

fn parked(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("parked", seed, size);
    let plan = TopicPlan {
        mix: Mix::Stubborn,
        records: this.topics[0].records / 2,
        ..PLAIN
    };
    this.topics = vec![
        plan,
        TopicPlan {
            name: "batches",
            is_batched: true,
            ..plan
        },
    ];
    // A batch takes its records one after the other.
    this.work = Duration::from_millis(match size {
        Size::Short => 20,
        Size::Long => 8,
    });
    this.has_retry_topics = true;
    add_kills(&mut this, seed);
    this.expectation.parked = 10;
    this
}

fn batches(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("batches", seed, size);
    this.topics[0].is_batched = true;
    this.work = Duration::from_millis(match size {
        Size::Short => 20,
        Size::Long => 4,
    });
    add_kills(&mut this, seed);
    this
}

fn denied(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("denied", seed, size);
    let mut random = Random::of(seed, "denied");
    this.rate = 300;
    let rounds = match size {
        Size::Short => 1,
        Size::Long => 4,
    };
    let mut at = 2000;
    for _ in 0..rounds {
        this.schedule.add(at, Fault::DenyDeadLetters);
        // For a while nothing else happens, so that others can be seen to go on.
        at += 6000;
        this.schedule.add(at, Fault::Terminate(random.next()));
        this.schedule.add(at + 300, Fault::Join);
        at += 1000 + random.below(1000);
        this.schedule.add(at, Fault::Kill(random.next()));
        this.schedule.add(at + 300, Fault::Join);
        at += 2000 + random.below(1000);
        this.schedule.add(at, Fault::AllowDeadLetters);
        // The wait until it is tried again is as long as all before it.
        at += 12_000;
    }
    this.write_for(at - 9000);
    this.expectation.delays = 3;
    this.expectation.rebalances = 2;
    this
}

fn retention(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("retention", seed, size);
    let mut random = Random::of(seed, "retention");
    this.goes_on = true;
    let rounds = match size {
        Size::Short => 1,
        Size::Long => 4,
    };
    let mut at = 2500;
    for _ in 0..rounds {
        this.schedule.add(at, Fault::TerminateAll);
        at += 2500 + random.below(1000);
        this.schedule.add(at, Fault::DeleteRecords);
        for _ in 0..this.workers {
            this.schedule.add(at + 200, Fault::Join);
        }
        at += 4500;
        // Not for a session: they are members all the time.
        this.schedule.add(at, Fault::SuspendAll);
        at += 2000 + random.below(500);
        this.schedule.add(at, Fault::DeleteRecords);
        this.schedule.add(at + 100, Fault::Resume);
        at += 3000;
    }
    this.write_for(at);
    // Each partition while the group is away, and some while it is there.
    this.expectation.out_of_range = usize::try_from(PLAIN.partitions).unwrap_or(0) + 1;
    this.expectation.deleted = 20;
    this
}

fn zombie(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("zombie", seed, size);
    let mut random = Random::of(seed, "zombie");
    // The calls of one key follow each other: two of three seconds are work.
    this.rate = 200;
    this.work = Duration::from_millis(3);
    this.topics[0].is_hot = true;
    let rounds = match size {
        Size::Short => 1,
        Size::Long => 5,
    };
    let mut at = 500;
    for _ in 0..rounds {
        this.schedule.add(at, Fault::Suspend(random.next()));
        at += millis(this.session) + 2000 + random.below(2000);
        this.schedule.add(at, Fault::Resume);
        at += 1500 + random.below(1000);
        this.schedule.add(at, Fault::Kill(random.next()));
        at += 1000;
        this.schedule.add(at, Fault::Join);
        at += 4000;
    }
    this.write_for(at);
    this.expectation.losses = 1;
    this.expectation.rebalances = 2;
    this
}

fn topics(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("topics", seed, size);
    let records = this.topics[0].records / 2;
    this.topics = vec![
        TopicPlan {
            name: "compacted",
            flavour: Flavour::Compacted,
            records,
            ..PLAIN
        },
        TopicPlan {
            name: "transactions",
            flavour: Flavour::Transactional,
            records,
            ..PLAIN
        },
    ];
    add_kills(&mut this, seed);
    this
}

fn brokers(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("brokers", seed, size);
    let mut random = Random::of(seed, "brokers");
    this.rate = 200;
    this.topics.push(TopicPlan {
        name: "transactions",
        flavour: Flavour::Transactional,
        ..PLAIN
    });
    let rounds = match size {
        Size::Short => 1,
        Size::Long => 4,
    };
    let mut at = 1000;
    let all = [
        (Brokers::Leader, 3000),
        (Brokers::Coordinator, 3000),
        (Brokers::All, 2000),
    ];
    // The short one leaves one of them out, by seed.
    let left_out = (size == Size::Short).then(|| random.below(2));
    for _ in 0..rounds {
        for (_, (which, lasts)) in (0..).zip(all).filter(|(n, _)| left_out != Some(*n)) {
            this.schedule.add(at, Fault::KillBrokers(which));
            at += lasts + random.below(1000);
            this.schedule.add(at, Fault::StartBrokers);
            at += 6000 + random.below(1000);
        }
    }
    this.write_for(at);
    this.expectation.outages = 2;
    this
}

fn network(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("network", seed, size);
    let mut random = Random::of(seed, "network");
    this.rate = 300;
    this.is_proxied = true;
    let past_session = millis(this.session) + 3000;
    let all = [
        (Network::Delay(Duration::from_millis(300)), 3000),
        (Network::Resets(random.next()), 5000),
        (Network::Deaf(random.next()), past_session),
        (Network::Hold(Request::Commit), 4000),
        (Network::Hold(Request::Heartbeat), past_session),
        (Network::Hold(Request::JoinGroup), 4000),
        (Network::Hold(Request::Produce), 4000),
        (Network::Hold(Request::Fetch), 4000),
        (Network::AllDeaf, past_session),
        (Network::AllMute, past_session),
    ];
    // The short one tries some of them, by seed.
    let chosen: Vec<_> = match size {
        Size::Short => {
            let first = usize::try_from(random.below(10)).unwrap_or(0);
            (0..2).map(|n| all[(first + 3 * n) % all.len()]).collect()
        }
        Size::Long => all.to_vec(),
    };
    let mut at = 1000;
    for (fault, lasts) in chosen {
        this.schedule.add(at, Fault::Network(fault));
        // Somebody comes or goes meanwhile.
        if random.per_mille(500) {
            this.schedule.add(at + 500, Fault::Terminate(random.next()));
            this.schedule.add(at + 1000, Fault::Join);
        }
        at += lasts;
        this.schedule.add(at, Fault::HealNetwork);
        at += 3000;
    }
    this.write_for(at);
    this.expectation.outages = 2;
    this.expectation.dead_letters = 1;
    this
}

fn rolling(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("rolling", seed, size);
    let restarts = match size {
        Size::Short => 5,
        Size::Long => 20,
    };
    let mut at = 500;
    for n in 0..restarts {
        this.schedule.add(at, Fault::Join);
        // The new one takes the free lane, so the one after it is the oldest.
        this.schedule.add(at + 2500, Fault::Terminate(n % 4));
        at += 5000;
    }
    this.write_for(at);
    this.expectation.rebalances = 5;
    this.without_duplicates()
}

fn stops(seed: u64, size: Size) -> Scenario {
    let mut this = scenario("stops", seed, size);
    let mut random = Random::of(seed, "stops");
    this.rate = 200;
    this.workers = 5;
    let rounds = match size {
        Size::Short => 3,
        Size::Long => 20,
    };
    let mut at = 1000;
    for round in 0..rounds {
        let outage = match round % 4 {
            1 => Some(Brokers::All),
            3 => Some(Brokers::Coordinator),
            _ => None,
        };
        if let Some(which) = outage {
            this.schedule.add(at, Fault::KillBrokers(which));
            at += random.below(2000);
        }
        for _ in 0..this.workers {
            this.schedule.add(at, Fault::Terminate(random.next()));
            at += random.below(300);
        }
        if outage.is_some() {
            this.schedule.add(at + 2500, Fault::StartBrokers);
            // Until they serve, and those that could not say that they leave have expired.
            at += 8000 + millis(this.session);
        }
        for _ in 0..this.workers {
            this.schedule.add(at, Fault::Join);
        }
        at += 4000 + random.below(2000);
    }
    this.write_for(at);
    this.expectation.outages = 1;
    this
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{KINDS, Size};

    #[test]
    fn a_seed_gives_the_same_schedule_and_another_one_another() {
        for kind in KINDS.iter().filter(|kind| kind.is_repeated) {
            let schedule = |seed| kind.make(seed, Size::Long).schedule.to_string();

            assert_eq!(schedule(1), schedule(1));
            assert_ne!(schedule(1), schedule(2));
        }
    }

    #[test]
    fn faults_happen_while_records_are_written() {
        for kind in KINDS {
            for size in [Size::Short, Size::Long] {
                let scenario = kind.make(1, size);
                let last = scenario.schedule.0.last().map(|planned| planned.at);

                let last = last.map_or(0, super::millis);
                assert!(
                    last > 0 && last <= scenario.writing_ms() + 2000,
                    "{}",
                    kind.name
                );
            }
        }
    }
}
