//! What a run is like, drawn from its seed.

use std::time::Duration;

use super::random::Random;
use crate::batch::BatchOptions;
use crate::engine::backpressure::Budget;
use crate::failure::backoff::Retry;
use crate::failure::breaker::Breaker;
use crate::failure::policy::FailurePolicy;
use crate::handler::Ordering;

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that happens in a run or does not"
)]
pub(super) struct Setup {
    pub(super) partitions: i32,
    pub(super) members: usize,
    /// `None`: a handler of single records.
    pub(super) batch: Option<BatchOptions>,
    pub(super) is_eager: bool,
    pub(super) ordering: Ordering,
    pub(super) concurrency: usize,
    pub(super) timeout: Option<Duration>,
    pub(super) attempts: u32,
    /// Of its retry topics.
    pub(super) retry_waits: Vec<Duration>,
    pub(super) most_parked: usize,
    /// Retry topics come record by record.
    pub(super) slow_scans: bool,
    pub(super) retry: Retry,
    pub(super) on_failure: FailurePolicy,
    pub(super) breaker: Breaker,
    pub(super) budget: Budget,
    pub(super) cores: usize,
    pub(super) keys: usize,
    /// Of 100 records.
    pub(super) bad: usize,
    pub(super) steps: usize,
    pub(super) records: usize,
    pub(super) session_timeout: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) shutdown_grace: Duration,
    /// One of these goes on in a run, so that each is seen without the others, too.
    pub(super) rebalances: bool,
    pub(super) crashes: bool,
    pub(super) broker_faults: bool,
}

impl Setup {
    /// The run of a seed. Batches have a generator of their own, so that a seed without them is what it was before.
    pub(super) fn of_seed(seed: u64, random: &mut Random) -> Self {
        let mut for_batches = Random::new(!seed);
        let batch = for_batches.chance(30).then(|| BatchOptions {
            max: *for_batches.pick(&[1, 3, 10, 50]),
            linger: Duration::from_millis(*for_batches.pick(&[0, 0, 20, 500])),
        });
        Self {
            batch,
            most_parked: *for_batches.pick(&[10, 40, usize::MAX, usize::MAX]),
            slow_scans: for_batches.chance(50),
            ..Self::draw(random)
        }
    }

    fn draw(random: &mut Random) -> Self {
        let attempts = u32::try_from(random.between(1, 4)).unwrap_or(1);
        Self {
            partitions: i32::try_from(random.between(1, 4)).unwrap_or(1),
            members: random.between(1, 3),
            batch: None,
            is_eager: random.chance(25),
            ordering: match random.below(10) {
                0 => Ordering::None,
                1 | 2 => Ordering::Partition,
                _ => Ordering::Key,
            },
            concurrency: *random.pick(&[1, 2, 5, 64]),
            timeout: random.chance(30).then_some(Duration::from_secs(3)),
            attempts,
            retry_waits: {
                let waits = [2, 6].map(Duration::from_secs);
                let stages = if random.chance(40) {
                    random.between(1, 2)
                } else {
                    0
                };
                waits[..stages].to_vec()
            },
            most_parked: 0,
            slow_scans: false,
            retry: Retry {
                attempts,
                initial: Duration::from_millis(100),
                max: Duration::from_secs(*random.pick(&[1, 5])),
            },
            on_failure: if random.chance(80) {
                FailurePolicy::DeadLetter
            } else {
                FailurePolicy::Skip
            },
            breaker: if random.chance(30) {
                Breaker {
                    ratio: 0.6,
                    records: 5,
                }
            } else {
                Breaker::OFF
            },
            budget: Budget {
                records: *random.pick(&[4, 16, 1000]),
                bytes: 1 << 20,
            },
            cores: random.between(1, 3),
            keys: *random.pick(&[1, 3, 8, 40]),
            bad: *random.pick(&[0, 5, 20, 60]),
            steps: random.between(150, 500),
            records: random.between(20, 150),
            session_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
            shutdown_grace: Duration::from_secs(7),
            rebalances: random.chance(70),
            crashes: random.chance(50),
            broker_faults: random.chance(50),
        }
    }
}
