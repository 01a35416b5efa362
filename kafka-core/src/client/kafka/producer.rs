//! Writes records through librdkafka's producer.
//!
//! Not `FutureProducer`: its thread polls for 100 ms at a time, of which librdkafka waits for 99 and rdkafka spins for the
//! last one (0.39, `BaseProducer::poll`), 1 % of a core for a producer that has nothing to do. The thread here sleeps while
//! nothing is being written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders, Timestamp as KafkaTimestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use tokio::sync::oneshot;

use super::cluster::answers;
use super::context::{PlainContext, Reports};
use super::create;
use super::errors::{client_error, from_code};
use crate::error::ClientError;
use crate::producer::{Delivery, MessagePayload, ProduceError, ProducedRecord, ProducerClient};
use crate::record::{Offset, Timestamp};

/// How long the thread waits for what librdkafka has to say of records that are being written. A stop waits for it.
const POLL: Duration = Duration::from_millis(100);

/// How often it looks for anything else librdkafka has to say (errors, its log, statistics), while nothing is written.
const IDLE: Duration = Duration::from_millis(200);

/// Where a record was written, or why it was not.
type Delivered = Result<Written, KafkaError>;

struct Written {
    partition: i32,
    offset: i64,
    timestamp: KafkaTimestamp,
}

/// Tells whoever waits for a record what became of it.
struct DeliveryContext(PlainContext);

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.0.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Box<oneshot::Sender<Delivered>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let delivered = match result {
            Ok(message) => Ok(Written {
                partition: message.partition(),
                offset: message.offset(),
                timestamp: message.timestamp(),
            }),
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody may wait for it any more.
        let _ = waiting.send(delivered);
    }
}

/// See the module.
pub(crate) struct KafkaProducerClient {
    producer: Arc<BaseProducer<DeliveryContext>>,
    reports: Arc<Reports>,
    poller: Option<JoinHandle<()>>,
    is_stopping: Arc<AtomicBool>,
}

impl KafkaProducerClient {
    pub(crate) fn new(properties: &BTreeMap<String, String>) -> Result<Self, ClientError> {
        let context = PlainContext::default();
        let reports = Arc::clone(&context.reports);
        let producer: BaseProducer<_> = create(properties, DeliveryContext(context))?;
        let producer = Arc::new(producer);
        let is_stopping = Arc::new(AtomicBool::new(false));
        let poller = {
            let (producer, is_stopping) = (Arc::clone(&producer), Arc::clone(&is_stopping));
            thread::Builder::new()
                .name("kafka-producer".to_owned())
                .spawn(move || poll(&producer, &is_stopping))
                .map_err(|error| ClientError::Settings(format!("start a thread: {error}")))?
        };
        Ok(Self {
            producer,
            reports,
            poller: Some(poller),
            is_stopping,
        })
    }
}

/// Has librdkafka's callbacks called until the client is dropped.
fn poll(producer: &BaseProducer<DeliveryContext>, is_stopping: &AtomicBool) {
    while !is_stopping.load(Ordering::Acquire) {
        if producer.in_flight_count() > 0 {
            producer.poll(POLL);
        } else {
            thread::park_timeout(IDLE);
            producer.poll(Duration::ZERO);
        }
    }
}

impl Drop for KafkaProducerClient {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        if let Some(poller) = self.poller.take() {
            poller.thread().unpark();
            // It ends by itself, or has panicked in a callback, which was reported then.
            let _ = poller.join();
        }
    }
}

impl ProducerClient for KafkaProducerClient {
    fn send(&self, topic: &str, payload: MessagePayload) -> Delivery {
        let (told, delivery) = oneshot::channel();
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(told));
        record.key = payload.key.as_deref();
        record.payload = payload.value.as_deref();
        record.partition = payload.partition;
        record.timestamp = payload.timestamp_ms;
        if !payload.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(payload.headers.len());
            record.headers = Some(
                payload
                    .headers
                    .iter()
                    .fold(headers, |headers, (key, value)| {
                        headers.insert(Header {
                            key,
                            value: value.as_deref(),
                        })
                    }),
            );
        }
        let topic: Arc<str> = topic.into();
        let failed = Failed {
            topic: Arc::clone(&topic),
            partition: payload.partition,
            bytes: payload.key.as_ref().map_or(0, Vec::len)
                + payload.value.as_ref().map_or(0, Vec::len),
        };
        let queued = self.producer.send(record).map_err(|(error, _)| error);
        if let Some(poller) = &self.poller {
            poller.thread().unpark();
        }
        Box::pin(async move {
            match queued {
                Err(error) => Err(failed.because(&error)),
                Ok(()) => match delivery.await {
                    Err(_) => Err(ProduceError::Disconnected),
                    Ok(Err(error)) => Err(failed.because(&error)),
                    Ok(Ok(written)) => Ok(ProducedRecord {
                        topic,
                        partition: written.partition,
                        offset: Offset(written.offset),
                        timestamp: match written.timestamp {
                            KafkaTimestamp::NotAvailable => Timestamp::NotAvailable,
                            KafkaTimestamp::CreateTime(ms) => Timestamp::CreateTime(ms),
                            KafkaTimestamp::LogAppendTime(ms) => Timestamp::LogAppendTime(ms),
                        },
                    }),
                },
            }
        })
    }

    fn flush(&self, timeout: Duration) -> Result<(), ClientError> {
        self.producer
            .flush(timeout)
            .map_err(|error| client_error(&error, None))
    }

    fn check(&self, timeout: Duration) -> Result<(), ClientError> {
        let client = self.producer.client();
        // What it had queued was purged then, which says nothing of why.
        if let Some((code, reason)) = client.fatal_error() {
            return Err(from_code(code, Some(&reason)));
        }
        answers(
            timeout,
            |slice| {
                client
                    .fetch_metadata(Some(super::cluster::ANY_TOPIC), slice)
                    .map(drop)
            },
            || self.reports.take(),
        )
    }
}

struct Failed {
    topic: Arc<str>,
    partition: Option<i32>,
    bytes: usize,
}

impl Failed {
    fn because(self, error: &KafkaError) -> ProduceError {
        let topic = self.topic.to_string();
        match (error.rdkafka_error_code(), self.partition) {
            (Some(RDKafkaErrorCode::MessageSizeTooLarge), _) => ProduceError::TooLarge {
                topic,
                bytes: self.bytes,
            },
            (Some(RDKafkaErrorCode::UnknownPartition), Some(partition)) => {
                ProduceError::UnknownPartition { topic, partition }
            }
            (
                Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition),
                _,
            ) => ProduceError::UnknownTopic { topic },
            (Some(RDKafkaErrorCode::MessageTimedOut), _) => ProduceError::TimedOut { topic },
            (Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight), _) => {
                ProduceError::Disconnected
            }
            _ => ProduceError::Client {
                topic,
                source: client_error(error, None),
            },
        }
    }
}
