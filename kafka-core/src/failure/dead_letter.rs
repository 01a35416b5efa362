//! Writes records that were given up to their dead letter topic.
//!
//! Key, value and headers go over byte for byte. Ours are added under [`PREFIX`], after older ones of that name were
//! dropped: they are replaced, never appended twice, and nothing that arrives in them is believed.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::backoff::{Retry, jitter};
use super::retry_topic::Origin;
use crate::client::Cluster;
use crate::engine::route::FirstError;
use crate::error::{ClientError, RunError};
use crate::mutant::{self, Mutant};
use crate::observe::{Event, Observers};
use crate::outcome::Failure;
use crate::producer::{MessagePayload, ProduceError, ProducerClient};
use crate::record::{Offset, Record};
use crate::runtime::checks::{ensure_retry_topic, ensure_topic};
use crate::runtime::connect::{QUESTION, blocking};

/// What our headers begin with.
pub const PREFIX: &str = "kafka_runtime.dead_letter.";

/// A missing dead letter topic is created once in this time.
const CREATE_INTERVAL: Duration = Duration::from_secs(5);

/// The wait between attempts to write a dead letter: there is no last one, since the record has nowhere else to go.
const WRITE_RETRY: Retry = Retry {
    attempts: u32::MAX,
    initial: Duration::from_millis(100),
    max: Duration::from_secs(30),
};

/// What a retry topic finds too large so many times is too large. Before, it can be a neighbour: a broker refuses a batch as
/// a whole.
const TOO_LARGE: u32 = 3;

/// What records that are being written may take at once, in KiB, besides the batches that they came in. With records of
/// 1 KiB that is 1,638 of them, enough for 80,000 in a second if a broker takes 20 ms for each.
const WRITE_ROOM: u32 = 8 * 1024;
/// What a record takes while it is written, in KiB, besides key and value, which are copied twice: a dozen headers, and what
/// librdkafka keeps of a message (measured, about).
const WRITE_OVERHEAD: usize = 3;

/// So long a record waits for room. Another topic whose leader is away may hold all of it, and must not hold this one up.
const ROOM_WAIT: Duration = Duration::from_secs(2);

/// Room for [`WRITE_ROOM`], given in the order of asking.
pub(crate) struct WriteRoom(Semaphore);

impl Default for WriteRoom {
    fn default() -> Self {
        Self(Semaphore::new(WRITE_ROOM as usize))
    }
}

impl WriteRoom {
    /// Waits for the room that a record takes, but not for long. One that is larger than all of it is written alone.
    async fn of(&self, record: &Record) -> Option<SemaphorePermit<'_>> {
        let bytes = record.key().map_or(0, <[u8]>::len) + record.value().map_or(0, <[u8]>::len);
        let kib = u32::try_from(2 * bytes / 1024 + WRITE_OVERHEAD).unwrap_or(u32::MAX);
        let room = self.0.acquire_many(kib.min(WRITE_ROOM));
        tokio::time::timeout(ROOM_WAIT, room).await.ok()?.ok()
    }
}

/// Why a record was given up, for its dead letter.
pub(crate) struct DeadLetter {
    pub(crate) record: Record,
    pub(crate) topic: Arc<str>,
    pub(crate) group_id: Arc<str>,
    pub(crate) handler: Arc<str>,
    pub(crate) attempts: u32,
    pub(crate) failure: Failure,
}

/// Where dead letters go.
pub(crate) struct DeadLetters {
    pub(crate) producer: Arc<dyn ProducerClient>,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) observers: Observers,
    pub(crate) error_text: bool,
    /// When each missing dead letter topic was last asked for: many records may miss it at once.
    pub(crate) created: tokio::sync::Mutex<HashMap<Arc<str>, Instant>>,
    pub(crate) room: WriteRoom,
    /// Ended by a producer that will never write again.
    pub(crate) group_id: Arc<str>,
    pub(crate) failed: Arc<FirstError>,
}

impl DeadLetters {
    /// Writes a dead letter; ends when the broker has acknowledged it, however long that takes.
    ///
    /// # Cancellation
    /// Dropped before its end, the letter may or may not have been written; the source is not committed past it.
    pub(crate) fn write(
        self: &Arc<Self>,
        letter: DeadLetter,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let this = Arc::clone(self);
        Box::pin(async move {
            let to = Destination {
                record: &letter.record,
                handler: &letter.handler,
                topic: &letter.topic,
                is_retry_topic: false,
            };
            // It has nowhere else to go: there is no end but a write.
            let _: Result<Option<Offset>, ProduceError> = this
                .send(&to, this.error_text, |optional| letter.to_payload(optional))
                .await;
            this.observers.emit(&Event::DeadLettered {
                record: &letter.record,
                handler: &letter.handler,
                topic: &letter.topic,
                attempts: letter.attempts,
                failure: &letter.failure,
            });
        })
    }

    /// Writes a record to a retry topic; ends when the broker has acknowledged it, however long that takes, and says where
    /// it lies. An error: the topic does not take a record of its size.
    pub(crate) fn park(
        self: &Arc<Self>,
        record: Record,
        handler: Arc<str>,
        topic: Arc<str>,
        origin: Origin,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Offset>, ProduceError>> + Send>> {
        let this = Arc::clone(self);
        Box::pin(async move {
            let to = Destination {
                record: &record,
                handler: &handler,
                topic: &topic,
                is_retry_topic: true,
            };
            this.send(&to, false, |_| origin.payload(&record)).await
        })
    }

    /// Sends a record until it is acknowledged, or for ever if the group ends with it; returns where it lies, if the broker
    /// said so. `payload` leaves out what is optional if it is told so. An error: a retry topic finds it too large.
    async fn send(
        &self,
        to: &Destination<'_>,
        mut optional: bool,
        payload: impl Fn(bool) -> MessagePayload,
    ) -> Result<Option<Offset>, ProduceError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let room = self.room.of(to.record).await;
            let sent = self.producer.send(to.topic, payload(optional)).await;
            // Others have their turn while this one waits for its next attempt.
            drop(room);
            let error = match sent {
                // Negative: the broker has it from an attempt before, and does not say where.
                Ok(written) => return Ok(Some(written.offset).filter(|offset| offset.0 >= 0)),
                Err(error) => error,
            };
            if mutant::is_active(Mutant::ForgetRefusedDeadLetter) {
                return Ok(None);
            }
            if let Some(source) = final_error(&error) {
                self.failed.set(RunError::Client {
                    group_id: self.group_id.to_string(),
                    source,
                });
                // Not written: the record stays unfinished, and is handled again by whoever reads it next.
                return std::future::pending().await;
            }
            if optional && matches!(error, ProduceError::TooLarge { .. }) {
                optional = false;
                continue;
            }
            if to.is_retry_topic
                && attempt >= TOO_LARGE
                && matches!(error, ProduceError::TooLarge { .. })
            {
                return Err(error);
            }
            let is_created =
                matches!(error, ProduceError::UnknownTopic { .. }) && self.create_topic(to).await;
            let seed = to.record.offset().0.unsigned_abs() ^ u64::from(attempt);
            let after = WRITE_RETRY.delay(attempt, 0.5 + jitter(seed) / 2.0);
            // A topic that is there a moment later is no delay to be told.
            if !is_created || attempt > 5 {
                self.observers.emit(&Event::DeadLetterDelayed {
                    record: to.record,
                    handler: to.handler,
                    topic: to.topic,
                    error: &error,
                    after,
                });
            }
            tokio::time::sleep(after).await;
        }
    }
}

/// Returns what ended the producer, if it will never write anything again.
fn final_error(error: &ProduceError) -> Option<ClientError> {
    match error {
        ProduceError::Client {
            source: source @ ClientError::Fatal(_),
            ..
        } => Some(source.clone()),
        ProduceError::Disconnected => Some(ClientError::Fatal(error.to_string())),
        _ => None,
    }
}

/// Where a record goes that is given up or parked, and whose it is.
struct Destination<'a> {
    record: &'a Record,
    handler: &'a str,
    topic: &'a Arc<str>,
    is_retry_topic: bool,
}

impl DeadLetters {
    /// Creates a dead letter topic that was not there at start: its source appeared later, or it was deleted. True if
    /// it is there, or was a moment ago: the producer may need a while to see it.
    async fn create_topic(&self, to: &Destination<'_>) -> bool {
        let mut created = self.created.lock().await;
        let is_recent = |at: &Instant| at.elapsed() < CREATE_INTERVAL;
        if created.get(to.topic).is_some_and(is_recent) {
            return true;
        }
        let cluster = Arc::clone(&self.cluster);
        let (topic, source) = (Arc::clone(to.topic), to.record.topic_arc());
        let ensure = if to.is_retry_topic {
            ensure_retry_topic
        } else {
            ensure_topic
        };
        let ensured = blocking(move || {
            let partitions = cluster.partitions(&source, QUESTION)?;
            ensure(&*cluster, &topic, partitions)
        })
        .await;
        if ensured.is_ok() {
            created.insert(Arc::clone(to.topic), Instant::now());
        }
        ensured.is_ok()
    }
}

impl DeadLetter {
    fn to_payload(&self, optional: bool) -> MessagePayload {
        let record = &self.record;
        let mut payload = MessagePayload::of_bytes(record.key(), record.value());
        for (name, value) in record.headers().iter() {
            if !name.starts_with(PREFIX.as_bytes()) || mutant::is_active(Mutant::AppendHeaders) {
                payload = payload.header_bytes(name, value);
            }
        }
        let timestamp = record.timestamp().millis().unwrap_or(-1);
        let ours = [
            ("topic", record.topic().to_owned()),
            ("partition", record.partition().to_string()),
            ("offset", record.offset().to_string()),
            ("timestamp", timestamp.to_string()),
            ("group", self.group_id.to_string()),
            ("handler", self.handler.to_string()),
            ("attempts", self.attempts.to_string()),
            ("class", self.failure.kind().to_string()),
        ];
        for (name, value) in ours {
            let name = format!("{PREFIX}{name}");
            let headers = record.headers();
            payload = match headers.get(&name) {
                Some(theirs) if mutant::is_active(Mutant::TrustHeaders) => {
                    payload.header_bytes(name.as_bytes(), Some(theirs))
                }
                _ => payload.header(name, value),
            };
        }
        if optional {
            payload = payload.header(format!("{PREFIX}error"), self.failure.text());
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_has_a_bound_and_a_record_above_it_goes_alone() {
        let room = WriteRoom::default();
        let of_kib = |kib: usize| Record::for_test("t", None, Some(&vec![0; kib << 10]));
        let (small, large) = (of_kib(1_500), of_kib(20_000));

        let first = room.of(&small).now_or_never();
        let second = room.of(&small).now_or_never();
        assert!(first.is_some() && second.is_some());
        assert!(room.of(&small).now_or_never().is_none());
        assert!(room.of(&small).await.is_none(), "it waits for ever");
        drop(first);
        assert!(room.of(&large).now_or_never().is_none());
        drop(second);
        assert!(room.of(&large).now_or_never().flatten().is_some());
    }
}
