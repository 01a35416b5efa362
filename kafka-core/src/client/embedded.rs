//! A broker inside the process: librdkafka's mock cluster, on loopback, with real sockets.

use std::fmt;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::config::{Config, GroupProtocol, MissingTopics};
use crate::error::ClientError;

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;
type Job = Box<dyn FnOnce(&Cluster) + Send>;

/// A kind of request that [`EmbeddedBroker::fail_requests`] can fail.
///
/// A member joins with `JoinGroup` only by the classic protocol (`GroupProtocol::Classic`);
/// [`EmbeddedBroker::config`] sets the consumer protocol, whose heartbeats this broker always answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "Kafka's names")]
pub enum BrokerRequest {
    Produce,
    Fetch,
    ListOffsets,
    OffsetCommit,
    OffsetFetch,
    FindCoordinator,
    JoinGroup,
    SyncGroup,
    Heartbeat,
}

impl BrokerRequest {
    fn key(self) -> RDKafkaApiKey {
        match self {
            Self::Produce => RDKafkaApiKey::Produce,
            Self::Fetch => RDKafkaApiKey::Fetch,
            Self::ListOffsets => RDKafkaApiKey::ListOffsets,
            Self::OffsetCommit => RDKafkaApiKey::OffsetCommit,
            Self::OffsetFetch => RDKafkaApiKey::OffsetFetch,
            Self::FindCoordinator => RDKafkaApiKey::FindCoordinator,
            Self::JoinGroup => RDKafkaApiKey::JoinGroup,
            Self::SyncGroup => RDKafkaApiKey::SyncGroup,
            Self::Heartbeat => RDKafkaApiKey::Heartbeat,
        }
    }
}

/// A broker for examples and tests that needs nothing installed. Everything it holds is in memory and gone with it.
///
/// It is no Kafka: it keeps 5 MiB or 100,000 batches of each partition, knows no TLS, no authentication, no
/// transactions, and drops the oldest records without a word.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use kafka_core::{EmbeddedBroker, Runtime};
///
/// let broker = EmbeddedBroker::start()?;
/// broker.create_topic("auth.public.users", 4)?;
/// let runtime = Runtime::builder().config(broker.config().group_id("demo")).build()?;
/// # Ok(())
/// # }
/// ```
pub struct EmbeddedBroker {
    bootstrap_servers: String,
    /// The mock cluster cannot leave its thread; it takes jobs there. `None` once the broker is told to end.
    jobs: Option<Sender<Job>>,
    holder: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts a broker on a free port of the loopback interface.
    ///
    /// # Errors
    /// librdkafka could not start it.
    pub fn start() -> Result<Self, ClientError> {
        let (started, start) = channel();
        let (jobs, work) = channel::<Job>();
        let holder = std::thread::Builder::new()
            .name("kafka-embedded".into())
            .spawn(move || match MockCluster::new(1) {
                Ok(cluster) => {
                    let _ = started.send(Ok(cluster.bootstrap_servers()));
                    while let Ok(job) = work.recv() {
                        job(&cluster);
                    }
                }
                Err(error) => {
                    let _ = started.send(Err(ClientError::Other(error.to_string())));
                }
            })
            .map_err(|error| ClientError::Other(error.to_string()))?;
        let bootstrap_servers = start.recv().unwrap_or_else(|_| {
            Err(ClientError::Other(
                "the embedded broker's thread ended".into(),
            ))
        })?;
        Ok(Self {
            bootstrap_servers,
            jobs: Some(jobs),
            holder: Some(holder),
        })
    }

    /// Returns its address, `host:port`.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Returns a configuration for it: the address, no TLS, and what makes this broker answer quickly.
    ///
    /// Topics need not be created: this broker makes a topic of 4 partitions of any name it is asked for.
    ///
    /// `group.protocol=consumer` joins in 0.1 s where the classic protocol's first join waits 3 s, and an empty fetch
    /// of the mock cluster sleeps all of `fetch.wait.max.ms`.
    pub fn config(&self) -> Config {
        Config::new()
            .bootstrap_servers(self.bootstrap_servers.as_str())
            .ssl(false)
            .group_protocol(GroupProtocol::Consumer)
            .missing_topics(MissingTopics::Auto)
            .property("fetch.wait.max.ms", "10")
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// The topic exists already.
    pub fn create_topic(&self, topic: &str, partitions: u32) -> Result<(), ClientError> {
        let topic = topic.to_owned();
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        self.ask(move |cluster| {
            let created = cluster.create_topic(&topic, partitions, 1);
            created.map_err(|error| ClientError::Other(error.to_string()))
        })
    }

    /// Answers the next requests of a kind with an error, so many times; those of every client. The codes are [Kafka's]:
    /// 6 `NOT_LEADER_OR_FOLLOWER`, 14 `COORDINATOR_LOAD_IN_PROGRESS`, 25 `UNKNOWN_MEMBER_ID`, 29
    /// `TOPIC_AUTHORIZATION_FAILED`, and so on.
    ///
    /// ```no_run
    /// # fn example(broker: &kafka_core::EmbeddedBroker) -> Result<(), kafka_core::ClientError> {
    /// use kafka_core::BrokerRequest;
    ///
    /// broker.fail_requests(BrokerRequest::OffsetCommit, 25, 1)?; // "you are no member": what does my service do?
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// There is no such code.
    ///
    /// [Kafka's]: https://kafka.apache.org/protocol#protocol_error_codes
    pub fn fail_requests(
        &self,
        request: BrokerRequest,
        error_code: i16,
        times: usize,
    ) -> Result<(), ClientError> {
        let error = RDKafkaRespErr::try_from(i32::from(error_code))
            .map_err(|_| ClientError::Settings(format!("Kafka has no error code {error_code}")))?;
        self.ask(move |cluster| {
            cluster.request_errors(request.key(), &vec![error; times]);
            Ok(())
        })
    }

    /// Answers requests of a kind as they should be, from now on: what is left of
    /// [`fail_requests`](Self::fail_requests) is forgotten.
    ///
    /// # Errors
    /// The broker is gone.
    pub fn answer_requests(&self, request: BrokerRequest) -> Result<(), ClientError> {
        self.ask(move |cluster| {
            cluster.clear_request_errors(request.key());
            Ok(())
        })
    }

    /// Has the broker's thread do something, and waits for it.
    fn ask(
        &self,
        job: impl FnOnce(&Cluster) -> Result<(), ClientError> + Send + 'static,
    ) -> Result<(), ClientError> {
        let (done, result) = channel();
        let job: Job = Box::new(move |cluster| {
            // Who asked waits for it.
            let _ = done.send(job(cluster));
        });
        let gone = || ClientError::Other("the embedded broker's thread ended".into());
        self.jobs
            .as_ref()
            .ok_or_else(gone)?
            .send(job)
            .map_err(|_| gone())?;
        result.recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(holder) = self.holder.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = holder.join();
        }
    }
}

impl fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBroker")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .finish_non_exhaustive()
    }
}
