//! Writes records through librdkafka's producer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders, Timestamp as KafkaTimestamp};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use super::cluster::answers;
use super::context::{PlainContext, Reports};
use super::create;
use super::errors::{client_error, from_code};
use crate::error::ClientError;
use crate::producer::{Delivery, MessagePayload, ProduceError, ProducedRecord, ProducerClient};
use crate::record::{Offset, Timestamp};

/// See the module.
pub(crate) struct KafkaProducerClient {
    producer: FutureProducer<PlainContext>,
    reports: Arc<Reports>,
}

impl KafkaProducerClient {
    pub(crate) fn new(properties: &BTreeMap<String, String>) -> Result<Self, ClientError> {
        let context = PlainContext::default();
        let reports = Arc::clone(&context.reports);
        let producer = create(properties, context)?;
        Ok(Self { producer, reports })
    }
}

impl ProducerClient for KafkaProducerClient {
    fn send(&self, topic: &str, payload: MessagePayload) -> Delivery {
        let mut record = FutureRecord::<[u8], [u8]>::to(topic);
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
        let queued = self
            .producer
            .send_result(record)
            .map_err(|(error, _)| error);
        Box::pin(async move {
            match queued {
                Err(error) => Err(failed.because(&error)),
                Ok(delivery) => match delivery.await {
                    Err(_) => Err(ProduceError::Disconnected),
                    Ok(Err((error, _))) => Err(failed.because(&error)),
                    Ok(Ok(delivered)) => Ok(ProducedRecord {
                        topic,
                        partition: delivered.partition,
                        offset: Offset(delivered.offset),
                        timestamp: match delivered.timestamp {
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
