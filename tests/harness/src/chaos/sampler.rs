//! Asks the cluster again and again what the group has committed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::clock::{self, Nanos};
use super::interrupt::Interrupt;
use super::ledger::Partition;

/// The offsets that a group had committed at some time between two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// When it was asked.
    pub(crate) asked: Nanos,
    /// When the answer was there: what is committed had been committed by then.
    pub(crate) answered: Nanos,
    /// Next to read; partitions without a commit are left out.
    pub(crate) committed: BTreeMap<Partition, i64>,
}

/// A question that a broker did not answer in this time is asked again.
const LIMIT: Duration = Duration::from_secs(2);

const PAUSE: Duration = Duration::from_millis(150);

/// Asks for the offsets of one group.
pub(crate) struct Sampler {
    consumer: BaseConsumer,
    list: TopicPartitionList,
    numbers: BTreeMap<String, usize>,
    samples: Mutex<Vec<Sample>>,
}

impl Sampler {
    /// `topics` has the name and the number of partitions of each.
    pub(crate) fn new(
        servers: &str,
        group: &str,
        topics: &[(String, i32)],
    ) -> Result<Self, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (topic, partitions) in topics {
            list.add_partition_range(topic, 0, partitions - 1);
        }
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("group.id", group)
            .set("reconnect.backoff.max.ms", "500")
            .create()?;
        Ok(Self {
            consumer,
            list,
            numbers: topics
                .iter()
                .map(|(name, _)| name.clone())
                .zip(0..)
                .collect(),
            samples: Mutex::default(),
        })
    }

    /// Asks until `is_over` says so; brokers may be away meanwhile.
    pub(crate) fn run(&self, is_over: impl Fn() -> bool, interrupt: &Interrupt) {
        while !is_over() && interrupt.sleep(PAUSE).is_ok() {
            let _ = self.sample();
        }
    }

    /// Asks once, and keeps the answer.
    pub(crate) fn sample(&self) -> Result<Sample, KafkaError> {
        let asked = clock::now();
        let answer = self.consumer.committed_offsets(self.list.clone(), LIMIT)?;
        let answered = clock::now();
        let committed = answer
            .elements()
            .iter()
            .filter_map(|one| {
                one.error().ok()?;
                let offset = one.offset().to_raw().filter(|offset| *offset >= 0)?;
                let partition = Partition {
                    topic: *self.numbers.get(one.topic())?,
                    number: one.partition(),
                };
                Some((partition, offset))
            })
            .collect();
        let sample = Sample {
            asked,
            answered,
            committed,
        };
        self.samples().push(sample.clone());
        Ok(sample)
    }

    pub(crate) fn latest(&self) -> BTreeMap<Partition, i64> {
        self.samples()
            .last()
            .map_or_else(BTreeMap::new, |sample| sample.committed.clone())
    }

    pub(crate) fn take_samples(&self) -> Vec<Sample> {
        std::mem::take(&mut self.samples())
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
