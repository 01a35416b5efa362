//! Writes records: the producer that services and handlers use, and what dead letters go through.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::client::factory::factory;
use crate::config::{Config, ProducerOptions};
use crate::error::{ClientError, ConnectError};
use crate::manager::ManagerError;
use crate::record::{Offset, Timestamp};
use crate::runtime::connect::retrying;

/// Records that may wait for their acknowledgement at once: far below librdkafka's `queue.buffering.max.messages`
/// (100,000), so its queue is never full and order is kept.
const MOST_RECORDS: usize = 10_000;
/// The same in bytes, below `queue.buffering.max.kbytes`.
const MOST_BYTES: usize = 32 << 20;
/// What a disconnect may take to send what is queued, unless it is told otherwise.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// A record to be written: value, and optionally key, partition, headers, timestamp.
///
/// ```
/// # use kafka_core::MessagePayload;
/// let login = MessagePayload::new(r#"{"event":"user_login"}"#).key("user-7").header("source", "auth");
/// let deletion = MessagePayload::tombstone("user-7");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MessagePayload {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) partition: Option<i32>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) timestamp_ms: Option<i64>,
}

impl MessagePayload {
    /// A record with this value: bytes or a string.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// A record with a key and a null value: on a compacted topic it deletes the key.
    pub fn tombstone(key: impl Into<Vec<u8>>) -> Self {
        Self::default().key(key)
    }

    /// A record with a value as JSON.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, ProduceError> {
        match serde_json::to_vec(value) {
            Ok(json) => Ok(Self::new(json)),
            // serde_json's text can quote the value.
            Err(_) => Err(ProduceError::NotJson),
        }
    }

    pub(crate) fn of_bytes(key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        Self {
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            ..Self::default()
        }
    }

    /// Sets the key: bytes or a string. Records of one key go to one partition, in order.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the partition. Default: by the hash of the key (murmur2, as Java's producer), spread if there is none.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Adds a header; a name may repeat.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// Sets the timestamp, in milliseconds since the Unix epoch. Default: now.
    #[must_use]
    pub fn timestamp_ms(mut self, ms: i64) -> Self {
        self.timestamp_ms = Some(ms);
        self
    }

    /// Adds a header as it was received. The client takes UTF-8 names only, and only such names are ever read.
    pub(crate) fn header_bytes(mut self, name: &[u8], value: Option<&[u8]>) -> Self {
        let name = String::from_utf8_lossy(name).into_owned();
        self.headers.push((name, value.map(<[u8]>::to_vec)));
        self
    }

    fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len))
            .sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

impl fmt::Debug for MessagePayload {
    /// Shows sizes, never bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessagePayload")
            .field("key_bytes", &self.key.as_ref().map(Vec::len))
            .field("value_bytes", &self.value.as_ref().map(Vec::len))
            .field("partition", &self.partition)
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

/// Where a record was written, acknowledged by the brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducedRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: Offset,
    /// The timestamp that the record has in the topic.
    pub timestamp: Timestamp,
}

/// Why a record was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProduceError {
    /// The record is larger than the topic, the broker or the client takes.
    #[error(
        "a record of {bytes} bytes is too large for topic {topic}; raise the topic's max.message.bytes, and the \
         property message.max.bytes"
    )]
    TooLarge {
        /// The topic.
        topic: String,
        /// Key, value and headers together.
        bytes: usize,
    },
    /// The topic does not exist, and the brokers do not create it.
    #[error("topic {topic} does not exist")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// No acknowledgement within `delivery.timeout.ms`. The record may have been written all the same.
    #[error("no acknowledgement from topic {topic} in time")]
    TimedOut {
        /// The topic.
        topic: String,
    },
    /// The value cannot be written as JSON.
    #[error("the value cannot be written as JSON")]
    NotJson,
    /// The producer was disconnected.
    #[error("the producer is disconnected")]
    Disconnected,
    /// Anything else that the client says.
    #[error("topic {topic}: {source}")]
    Client {
        /// The topic.
        topic: String,
        /// What was said.
        source: ClientError,
    },
}

/// Some records of a [`send`](KafkaProducer::send) were not written; `results` says which, in the order given.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} of {} records were not written, the first because: {}", self.failed(), results.len(), self.first())]
pub struct SendError {
    /// One for each record, in order.
    pub results: Vec<Result<ProducedRecord, ProduceError>>,
}

impl SendError {
    fn failed(&self) -> usize {
        self.results.iter().filter(|result| result.is_err()).count()
    }

    fn first(&self) -> &ProduceError {
        match self.results.iter().find_map(|result| result.as_ref().err()) {
            Some(error) => error,
            None => unreachable!("there is an error"),
        }
    }
}

/// The result of one record's write, when it is known.
pub(crate) type Delivery =
    Pin<Box<dyn Future<Output = Result<ProducedRecord, ProduceError>> + Send>>;

/// What writes records for us.
pub(crate) trait ProducerClient: Send + Sync {
    /// Queues a record at once, in the order of the calls; the future ends with its acknowledgement.
    fn send(&self, topic: &str, payload: MessagePayload) -> Delivery;

    /// Waits until everything queued is acknowledged or failed. Blocks.
    fn flush(&self, timeout: Duration) -> Result<(), ClientError>;

    /// Checks that a broker answers, and that the client can go on. Blocks, for no longer than the timeout.
    fn check(&self, timeout: Duration) -> Result<(), ClientError>;
}

/// Writes records to Kafka. Cloning it is cheap; all clones share one client.
///
/// Idempotent and acknowledged by all in-sync replicas by default. A runtime has one: take `KafkaProducer` as an
/// argument of a handler. [`KafkaManager::create_producer`](crate::KafkaManager::create_producer) makes others.
#[derive(Clone)]
pub struct KafkaProducer {
    client: Arc<dyn ProducerClient>,
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    is_connected: Arc<AtomicBool>,
    /// Disconnected by hand: records are refused until it is connected again.
    is_closed: Arc<AtomicBool>,
    config: Arc<Config>,
}

impl KafkaProducer {
    /// Makes a producer of its own, for a service that writes outside of any handler; it connects with its first
    /// record, or with [`connect`](Self::connect).
    ///
    /// ```no_run
    /// # async fn example() -> anyhow::Result<()> {
    /// use kafka_core::{Config, KafkaProducer, ProducerOptions};
    ///
    /// let producer = KafkaProducer::new(Config::from_env()?, &ProducerOptions::default())?;
    /// producer.send_json("user.events", "user-7", &"logged in").await?;
    /// producer.disconnect().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The settings contradict each other or are incomplete, or the client refuses them.
    pub fn new(config: Config, options: &ProducerOptions) -> Result<Self, ManagerError> {
        config.validate()?;
        options.validate()?;
        let client = factory(&config).producer(Some(options))?;
        Ok(Self::over(client, config))
    }

    pub(crate) fn over(client: Arc<dyn ProducerClient>, config: Config) -> Self {
        Self {
            client,
            is_connected: Arc::default(),
            is_closed: Arc::default(),
            config: Arc::new(config),
            records: Arc::new(Semaphore::new(MOST_RECORDS)),
            bytes: Arc::new(Semaphore::new(MOST_BYTES)),
        }
    }

    /// Writes records to a topic; returns where each was written, in the order given.
    ///
    /// Waits for room if too many records wait for their acknowledgement already. Order within a partition is that of
    /// the calls.
    ///
    /// # Errors
    /// Some were not written: [`SendError::results`] says of each what became of it.
    ///
    /// # Cancellation
    /// Dropped before its end, any of the records may or may not be written.
    pub async fn send(
        &self,
        topic: &str,
        payloads: Vec<MessagePayload>,
    ) -> Result<Vec<ProducedRecord>, SendError> {
        let mut deliveries = FuturesOrdered::new();
        let mut results = Vec::with_capacity(payloads.len());
        for payload in payloads {
            let mut queued = pin!(self.queue(topic, payload));
            // While it waits for room, our own records that are acknowledged must make some.
            let delivery = loop {
                tokio::select! {
                    biased;
                    delivery = &mut queued => break delivery,
                    Some(result) = deliveries.next() => results.push(result),
                }
            };
            deliveries.push_back(delivery);
        }
        results.extend(deliveries.collect::<Vec<_>>().await);
        if results.iter().any(Result::is_err) {
            return Err(SendError { results });
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Writes one record; returns where.
    ///
    /// # Errors
    /// It was not written, or (on [`ProduceError::TimedOut`]) it is not known.
    pub async fn send_one(
        &self,
        topic: &str,
        payload: MessagePayload,
    ) -> Result<ProducedRecord, ProduceError> {
        self.queue(topic, payload).await.await
    }

    /// Writes one record with a value as JSON.
    ///
    /// # Errors
    /// As [`send_one`](Self::send_one); or the value cannot be written as JSON.
    pub async fn send_json(
        &self,
        topic: &str,
        key: impl AsRef<[u8]>,
        value: &impl Serialize,
    ) -> Result<ProducedRecord, ProduceError> {
        let payload = MessagePayload::json(value)?.key(key.as_ref());
        self.send_one(topic, payload).await
    }

    /// Waits until everything that was queued is acknowledged or failed, for no longer than the timeout.
    ///
    /// # Errors
    /// It took longer.
    pub async fn flush(&self, timeout: Duration) -> Result<(), ClientError> {
        let client = Arc::clone(&self.client);
        match tokio::task::spawn_blocking(move || client.flush(timeout)).await {
            Ok(flushed) => flushed,
            Err(error) => Err(ClientError::Other(error.to_string())),
        }
    }

    /// Waits until a broker answers, with the configured retries. Not needed before the first record.
    ///
    /// # Errors
    /// No broker answered, or one refused: the error names the brokers that were tried.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let (client, timeout) = (Arc::clone(&self.client), self.config.request_timeout);
        retrying(&self.config, move || client.check(timeout)).await?;
        self.is_closed.store(false, Ordering::Relaxed);
        self.is_connected.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Sends what is queued, for no longer than 10 s, and refuses further records until it is connected again.
    ///
    /// # Errors
    /// Not everything could be sent in time.
    pub async fn disconnect(&self) -> Result<(), ClientError> {
        self.is_closed.store(true, Ordering::Relaxed);
        self.is_connected.store(false, Ordering::Relaxed);
        self.flush(FLUSH_TIMEOUT).await
    }

    /// True from a successful [`connect`](Self::connect) or a first acknowledged record to
    /// [`disconnect`](Self::disconnect).
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    pub(crate) fn client(&self) -> &Arc<dyn ProducerClient> {
        &self.client
    }

    /// Queues a record as soon as there is room.
    async fn queue(&self, topic: &str, payload: MessagePayload) -> Delivery {
        let size = u32::try_from(payload.size().clamp(1, MOST_BYTES)).unwrap_or(u32::MAX);
        let records = Arc::clone(&self.records).acquire_owned().await;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(size).await;
        let (Ok(records), Ok(bytes)) = (records, bytes) else {
            unreachable!("the semaphores are never closed");
        };
        if self.is_closed.load(Ordering::Relaxed) {
            return Box::pin(async { Err(ProduceError::Disconnected) });
        }
        let delivery = self.client.send(topic, payload);
        let (is_connected, is_closed) =
            (Arc::clone(&self.is_connected), Arc::clone(&self.is_closed));
        // Held until the acknowledgement; a caller that goes away gives its room back early.
        Box::pin(async move {
            let result = delivery.await;
            if result.is_ok() && !is_closed.load(Ordering::Relaxed) {
                is_connected.store(true, Ordering::Relaxed);
            }
            drop((records, bytes));
            result
        })
    }
}

impl fmt::Debug for KafkaProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaProducer")
            .field(
                "waiting",
                &(MOST_RECORDS - self.records.available_permits().min(MOST_RECORDS)),
            )
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_payload_shows_sizes_only() {
        let payload = MessagePayload::new("hunter2")
            .key("hunter2")
            .header("hunter2", "hunter2");

        assert!(!format!("{payload:?}").contains("hunter2"));
    }
}
