//! Arguments for calling a handler by hand, without any runtime.

use std::fmt;
use std::sync::Arc;

use super::clients::Brokers;
use super::record::TestRecord;
use crate::config::Config;
use crate::extract::{CancellationToken, HandlerContext, RecordMetadata};
use crate::producer::{KafkaProducer, ProduceError};
use crate::record::{Headers, Record};

/// Ends a test that asks for what cannot be.
#[track_caller]
#[expect(
    clippy::panic,
    reason = "a mistake of the test itself: a Result here is only another unwrap"
)]
pub(super) fn misuse(what: &str) -> ! {
    panic!("kafka_runtime::testing: {what}")
}

/// Takes the records of a [`KafkaProducer`] that a handler is called with by hand; there is no broker.
///
/// ```
/// use kafka_core::testing::TestProducer;
/// use kafka_core::{KafkaProducer, MessagePayload, ProduceError};
///
/// async fn on_order(order: u64, producer: KafkaProducer) -> anyhow::Result<()> {
///     producer.send_one("invoices", MessagePayload::new(order.to_string())).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let kafka = TestProducer::new();
/// assert!(on_order(7, kafka.producer()).await.is_ok());
/// assert_eq!(kafka.records("invoices")[0].text(), Some("7"));
///
/// kafka.refuse_writes("invoices", ProduceError::TimedOut { topic: "invoices".into() });
/// assert!(on_order(8, kafka.producer()).await.is_err());
/// # }
/// ```
#[derive(Clone)]
pub struct TestProducer {
    brokers: Brokers,
    producer: KafkaProducer,
}

impl TestProducer {
    /// A producer that takes every record.
    pub fn new() -> Self {
        let brokers = Brokers::new();
        let producer = KafkaProducer::over(Arc::new(brokers.clone()), Config::new());
        Self { brokers, producer }
    }

    /// Returns what a handler takes.
    pub fn producer(&self) -> KafkaProducer {
        self.producer.clone()
    }

    /// Returns the records of a topic, in order.
    pub fn records(&self, topic: &str) -> Vec<TestRecord> {
        self.brokers.records(topic)
    }

    /// Makes every write to a topic fail with this.
    pub fn refuse_writes(&self, topic: &str, error: ProduceError) {
        self.brokers.memory().refuse_writes(topic, Some(error));
    }

    /// Lets writes to a topic succeed again.
    pub fn accept_writes(&self, topic: &str) {
        self.brokers.memory().refuse_writes(topic, None);
    }
}

impl Default for TestProducer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestProducer")
            .field("topics", &self.brokers.topics())
            .finish_non_exhaustive()
    }
}

impl Headers {
    /// Headers of no record, for calling a handler in a unit test.
    ///
    /// ```
    /// # use kafka_core::Headers;
    /// let headers = Headers::for_test(&[("source", b"auth")]);
    /// assert_eq!(headers.get("source"), Some(&b"auth"[..]));
    /// ```
    pub fn for_test(headers: &[(&str, &[u8])]) -> Self {
        let record = Record::for_test("test", None, None);
        record.with_headers(headers).headers()
    }
}

/// What an extractor of your own may look for; see [`HandlerContext::for_test`].
///
/// ```
/// use kafka_core::testing::TestProducer;
/// use kafka_core::{FromContext, HandlerContext, Record, State};
///
/// let cx = HandlerContext::for_test()
///     .with_state("postgres://…")
///     .with_producer(TestProducer::new().producer())
///     .with_group("billing")
///     .with_attempt(2);
/// let record = Record::for_test("orders", None, None);
/// assert_eq!(State::<&str>::from_context(&record, &cx)?.0, "postgres://…");
/// # Ok::<(), kafka_core::DecodeError>(())
/// ```
impl HandlerContext {
    /// The same with a state, for `State<T>`.
    #[must_use]
    pub fn with_state<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        self.with_lane(|lane| {
            Arc::make_mut(&mut lane.services).states.insert(value);
        })
    }

    /// The same with a producer, such as that of a [`TestProducer`].
    #[must_use]
    pub fn with_producer(self, producer: KafkaProducer) -> Self {
        self.with_lane(|lane| Arc::make_mut(&mut lane.services).producer = Some(producer))
    }

    /// The same in another consumer group.
    #[must_use]
    pub fn with_group(self, group_id: &str) -> Self {
        self.with_lane(|lane| lane.group_id = group_id.into())
    }

    /// The same with a token that the test can fire.
    #[must_use]
    pub fn with_cancellation(self, token: CancellationToken) -> Self {
        self.with_lane(|lane| lane.cancel = token)
    }

    /// The same at a later attempt, from 1.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.set_attempt(attempt);
        self
    }

    /// Returns the metadata of a record in this context.
    pub fn metadata(&self, record: &Record) -> RecordMetadata {
        RecordMetadata::of_context(record, self)
    }
}
