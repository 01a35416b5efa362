//! Writes records as fast as a broker takes them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

/// Counts the records that could not be written.
#[derive(Default)]
struct Failed(AtomicU64);

impl ClientContext for Failed {}

impl ProducerContext for Failed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Relaxed);
        }
    }
}

/// See the module.
pub(crate) struct BulkWriter {
    producer: BaseProducer<Failed>,
    topic: String,
    sent: u64,
}

impl BulkWriter {
    /// `compression` is `none` or one of the broker's codecs.
    pub(crate) fn new(servers: &str, topic: &str, compression: &str) -> anyhow::Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("acks", "1")
            .set("linger.ms", "20")
            .set("compression.type", compression)
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.kbytes", "65536")
            // A record of 1 MiB, and what is around it.
            .set("message.max.bytes", "2097152")
            .create_with_context(Failed::default())
            .context("make a producer")?;
        Ok(Self {
            producer,
            topic: topic.to_owned(),
            sent: 0,
        })
    }

    /// Hands a record to the client; waits while its queue is full.
    pub(crate) fn send(&mut self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        let record = BaseRecord::to(&self.topic).key(key).payload(value);
        Self::hand_over(&self.producer, &mut self.sent, record)
    }

    /// The same, to a partition.
    pub(crate) fn send_to(
        &mut self,
        partition: i32,
        key: &[u8],
        value: &[u8],
    ) -> anyhow::Result<()> {
        let record = BaseRecord::to(&self.topic).key(key).payload(value);
        Self::hand_over(&self.producer, &mut self.sent, record.partition(partition))
    }

    fn hand_over(
        producer: &BaseProducer<Failed>,
        sent: &mut u64,
        mut record: BaseRecord<'_, [u8], [u8]>,
    ) -> anyhow::Result<()> {
        *sent += 1;
        if sent.is_multiple_of(1000) {
            producer.poll(Duration::ZERO);
        }
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error).context("write a record"),
            }
        }
    }

    /// Waits until the broker has all.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        self.producer
            .flush(Duration::from_mins(1))
            .context("write the rest")?;
        match self.producer.context().0.load(Relaxed) {
            0 => Ok(()),
            failed => bail!("{failed} records could not be written to {}", self.topic),
        }
    }
}
