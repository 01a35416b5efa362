//! Questions to a cluster: does it answer, which topics has it, where do they end; and the creation of topics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::context::PlainContext;
use super::create;
use super::ends::ends;
use super::errors::{client_error, from_code, from_response};
use crate::client::Cluster;
use crate::error::ClientError;
use crate::record::{Offset, TopicPartition};
use crate::runtime::connect::{QUESTION, block_on_for};

/// Any name does to see whether a broker answers: this one exists wherever a group ever committed, and asking for it
/// creates nothing.
pub(super) const ANY_TOPIC: &str = "__consumer_offsets";

/// Between two looks at what librdkafka reports while a broker does not answer.
const SLICE: Duration = Duration::from_millis(200);

impl ConsumerContext for PlainContext {}

/// A client outside of any group.
pub(crate) struct KafkaCluster {
    /// Without a group id: only for questions.
    client: BaseConsumer<PlainContext>,
    properties: BTreeMap<String, String>,
}

impl KafkaCluster {
    pub(crate) fn new(properties: &BTreeMap<String, String>) -> Result<Self, ClientError> {
        let client = create(properties, PlainContext::default())?;
        Ok(Self {
            client,
            properties: properties.clone(),
        })
    }

    /// Changes a topic; one that exists is fine.
    fn change<'a>(
        &self,
        timeout: Duration,
        change: impl FnOnce(
            &AdminClient<PlainContext>,
            &AdminOptions,
        ) -> BoxFuture<'a, KafkaResult<Vec<TopicResult>>>,
    ) -> Result<(), ClientError> {
        let admin: AdminClient<PlainContext> = create(&self.properties, PlainContext::default())?;
        let options = AdminOptions::new()
            .operation_timeout(Some(timeout))
            .request_timeout(Some(timeout));
        let mut changed = change(&admin, &options);
        // The admin client completes it, from a thread of its own, within the timeout.
        let results = loop {
            if let Some(results) = block_on_for(QUESTION, changed.as_mut()) {
                break results.map_err(|error: KafkaError| client_error(&error, None))?;
            }
        };
        for result in results {
            if let Err((name, code)) = result
                && code != RDKafkaErrorCode::TopicAlreadyExists
            {
                return Err(from_code(code, Some(&format!("{name}: {code}"))));
            }
        }
        Ok(())
    }

    fn reported(&self) -> Option<ClientError> {
        // Serves the callbacks; there are no records without an assignment.
        let _ = self.client.poll(Duration::ZERO);
        self.client.context().reports.take()
    }
}

/// Asks until there is an answer, or a reason why there is none: at once if that reason is final.
pub(super) fn answers(
    timeout: Duration,
    ask: impl Fn(Duration) -> KafkaResult<()>,
    reported: impl Fn() -> Option<ClientError>,
) -> Result<(), ClientError> {
    let until = Instant::now() + timeout;
    let mut reason = None;
    loop {
        let error = match ask(SLICE.min(timeout)) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if let Some(report) = reported() {
            if !matches!(report, ClientError::Other(_)) {
                return Err(with_a_guess(report));
            }
            reason = Some(report);
        }
        let is_wait = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::OperationTimedOut)
        );
        if !is_wait || Instant::now() >= until {
            return Err(reason.unwrap_or_else(|| with_a_guess(client_error(&error, None))));
        }
    }
}

/// librdkafka says why it cannot connect, and nothing if it could and the other end hung up, as a port does that expects
/// TLS, or does not. That is no proof, since a proxy whose broker is away does the same: another attempt may help.
fn with_a_guess(report: ClientError) -> ClientError {
    match report {
        ClientError::Unreachable(text)
            if text.ends_with("brokers are down") || text.ends_with("transport failure)") =>
        {
            ClientError::Unreachable(format!(
                "{text}: it hangs up without a reason; is KAFKA_SSL what this port expects?"
            ))
        }
        other => other,
    }
}

impl Cluster for KafkaCluster {
    fn check(&self, timeout: Duration) -> Result<(), ClientError> {
        answers(
            timeout,
            |slice| self.client.fetch_metadata(Some(ANY_TOPIC), slice).map(drop),
            || self.reported(),
        )
    }

    fn topics(&self, timeout: Duration) -> Result<Vec<String>, ClientError> {
        let metadata = self
            .client
            .fetch_metadata(None, timeout)
            .map_err(|error| client_error(&error, None))?;
        Ok(metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned())
            .collect())
    }

    fn partitions(&self, topic: &str, timeout: Duration) -> Result<usize, ClientError> {
        let metadata = self
            .client
            .fetch_metadata(Some(topic), timeout)
            .map_err(|error| client_error(&error, None))?;
        let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
            return Err(ClientError::UnknownTopic(topic.to_owned()));
        };
        match found.error() {
            Some(code) => Err(from_response(code, topic)),
            None => Ok(found.partitions().len()),
        }
    }

    fn ends(
        &self,
        of: &TopicPartition,
        timeout: Duration,
    ) -> Result<(Offset, Offset), ClientError> {
        ends(&self.client, of, timeout)
    }

    fn create_topic_with(
        &self,
        topic: &str,
        partitions: usize,
        replication: Option<i32>,
        settings: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        // -1: the broker's default replication (KIP-464, Kafka 2.4).
        let replication = TopicReplication::Fixed(replication.unwrap_or(-1));
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let mut topic = NewTopic::new(topic, partitions, replication);
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        self.change(timeout, |admin, options| {
            admin.create_topics([&topic], options).boxed()
        })
    }

    fn add_partitions(
        &self,
        topic: &str,
        partitions: usize,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let more = NewPartitions::new(topic, partitions);
        self.change(timeout, |admin, options| {
            admin.create_partitions([&more], options).boxed()
        })
    }
}
