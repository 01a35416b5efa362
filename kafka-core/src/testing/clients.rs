//! The clients that the kit gives to a runtime: the broker in memory, with a producer that puts records where a real
//! one does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::factory::ClientFactory;
use crate::client::memory::{MemberId, MemoryBroker};
use crate::client::{Cluster, Consumer};
use crate::config::ProducerOptions;
use crate::error::ClientError;
use crate::producer::{Delivery, MessagePayload, ProduceError, ProducedRecord, ProducerClient};
use crate::record::{Offset, Timestamp, TopicPartition};
use crate::testing::record::TestRecord;

/// librdkafka's default `delivery.timeout.ms`.
const DELIVERY_TIMEOUT: Duration = Duration::from_mins(2);

/// The broker of a test, and whether anybody can reach it; clones are the same.
#[derive(Clone)]
pub(super) struct Brokers(Arc<Inner>);

struct Inner {
    memory: MemoryBroker,
    /// The member that each group got last.
    members: Mutex<BTreeMap<String, MemberId>>,
    /// Records without a key take turns.
    unkeyed: AtomicU64,
    /// Counts up with each write that was tried.
    writes: AtomicU64,
    is_reachable: watch::Sender<bool>,
    since: Instant,
    /// The time of day then, in milliseconds since the Unix epoch.
    since_ms: u64,
}

impl Brokers {
    pub(super) fn new() -> Self {
        let since_ms = SystemTime::now().duration_since(UNIX_EPOCH);
        let since_ms = since_ms.map_or(0, |since| since.as_millis());
        Self(Arc::new(Inner {
            memory: MemoryBroker::default(),
            members: Mutex::default(),
            unkeyed: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            is_reachable: watch::Sender::new(true),
            since: Instant::now(),
            since_ms: u64::try_from(since_ms).unwrap_or(0),
        }))
    }

    pub(super) fn memory(&self) -> &MemoryBroker {
        &self.0.memory
    }

    /// Returns the member that joined a group last.
    pub(super) fn member_of(&self, group_id: &str) -> Option<MemberId> {
        let members = self.0.members.lock();
        let members = members.unwrap_or_else(PoisonError::into_inner);
        members.get(group_id).copied()
    }

    pub(super) fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    pub(super) fn set_reachable(&self, is_reachable: bool) {
        self.0.is_reachable.send_replace(is_reachable);
    }

    pub(super) fn is_reachable(&self) -> bool {
        *self.0.is_reachable.borrow()
    }

    /// Returns every topic.
    pub(super) fn topics(&self) -> Vec<String> {
        self.0.memory.topics(Duration::ZERO).unwrap_or_default()
    }

    pub(super) fn has_topic(&self, topic: &str) -> bool {
        !self.0.memory.partitions_of(topic).is_empty()
    }

    pub(super) fn create_topic(&self, topic: &str, partitions: i32) {
        let partitions = usize::try_from(partitions).unwrap_or(0);
        // The broker in memory refuses nothing.
        let _ = Cluster::create_topic(self.memory(), topic, partitions, None, Duration::ZERO);
    }

    /// Returns the records of a topic: by partition, then by offset.
    pub(super) fn records(&self, topic: &str) -> Vec<TestRecord> {
        let partitions = self.0.memory.partitions_of(topic);
        let records = partitions.iter().flat_map(|at| {
            let stored = self.0.memory.records(at, Offset(0));
            stored
                .into_iter()
                .map(|stored| TestRecord::stored(at, stored))
        });
        records.collect()
    }

    /// Writes a record whatever the faults are: what a test gives its handlers.
    pub(super) fn append(
        &self,
        topic: &str,
        payload: MessagePayload,
    ) -> Result<ProducedRecord, ProduceError> {
        let payload = self.placed(topic, payload)?;
        let timestamp = Timestamp::CreateTime(payload.timestamp_ms.unwrap_or(0));
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        let partition = payload.partition.unwrap_or(0);
        let at = TopicPartition::new(topic, partition);
        let offset = self.0.memory.append(&at, payload);
        Ok(ProducedRecord {
            topic: at.topic,
            partition,
            offset,
            timestamp,
        })
    }

    /// Gives a record its partition and its timestamp, as a producer does.
    fn placed(
        &self,
        topic: &str,
        mut payload: MessagePayload,
    ) -> Result<MessagePayload, ProduceError> {
        let partitions = self.0.memory.partitions_of(topic).len().max(1);
        let partition = match (payload.partition, &payload.key) {
            (Some(given), _) => {
                let is_there = usize::try_from(given).is_ok_and(|given| given < partitions);
                if !is_there {
                    return Err(ProduceError::UnknownPartition {
                        topic: topic.to_owned(),
                        partition: given,
                    });
                }
                given
            }
            (None, Some(key)) => partition_of(key, partitions),
            (None, None) => {
                let turn = self.0.unkeyed.fetch_add(1, Ordering::Relaxed);
                i32::try_from(turn % partitions as u64).unwrap_or(0)
            }
        };
        payload.partition = Some(partition);
        payload.timestamp_ms.get_or_insert_with(|| self.now_ms());
        Ok(payload)
    }

    /// The time of day, as the test's clock has it.
    fn now_ms(&self) -> i64 {
        let passed = u64::try_from(self.0.since.elapsed().as_millis()).unwrap_or(0);
        i64::try_from(self.0.since_ms.saturating_add(passed)).unwrap_or(i64::MAX)
    }
}

impl ClientFactory for Brokers {
    fn consumer(&self, group_id: &str) -> Result<Box<dyn Consumer>, ClientError> {
        let (id, consumer) = self.0.memory.join(group_id);
        let members = self.0.members.lock();
        let mut members = members.unwrap_or_else(PoisonError::into_inner);
        members.insert(group_id.to_owned(), id);
        Ok(consumer)
    }

    fn producer(
        &self,
        _: Option<&ProducerOptions>,
    ) -> Result<Arc<dyn ProducerClient>, ClientError> {
        Ok(Arc::new(self.clone()))
    }

    fn cluster(&self) -> Result<Arc<dyn Cluster>, ClientError> {
        Ok(Arc::new(self.0.memory.clone()))
    }
}

impl ProducerClient for Brokers {
    fn send(&self, topic: &str, payload: MessagePayload) -> Delivery {
        let (this, topic) = (self.clone(), topic.to_owned());
        // The place in a log is that of the call, unless no broker can be reached.
        if self.is_reachable() {
            return this.send_now(&topic, payload);
        }
        Box::pin(async move {
            let mut is_reachable = this.0.is_reachable.subscribe();
            let reached = is_reachable.wait_for(|is_reachable| *is_reachable);
            let is_in_time = tokio::time::timeout(DELIVERY_TIMEOUT, reached)
                .await
                .is_ok();
            if !is_in_time {
                return Err(ProduceError::TimedOut { topic });
            }
            this.send_now(&topic, payload).await
        })
    }

    fn flush(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }

    fn check(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }
}

impl Brokers {
    fn send_now(&self, topic: &str, payload: MessagePayload) -> Delivery {
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        let payload = match self.placed(topic, payload) {
            Ok(payload) => payload,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let timestamp = Timestamp::CreateTime(payload.timestamp_ms.unwrap_or(0));
        let delivery = ProducerClient::send(self.memory(), topic, payload);
        Box::pin(async move {
            let written = delivery.await?;
            Ok(ProducedRecord {
                timestamp,
                ..written
            })
        })
    }
}

/// The partition that Java's producer and ours choose for a key.
fn partition_of(key: &[u8], partitions: usize) -> i32 {
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    // "toPositive" of Kafka's `Utils`.
    i32::try_from(murmur2(key) & 0x7fff_ffff).unwrap_or(0) % partitions
}

/// The hash of keys, as Kafka has it (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (n, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * n);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hashed_as_in_java() {
        // Of Kafka's own `UtilsTest.testMurmur2`.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }
}
