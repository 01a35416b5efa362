//! The embedded broker: librdkafka's client on librdkafka's mock cluster, which answers with errors as it is told.

use std::time::Duration;

use kafka_runtime::{
    BrokerRequest, EmbeddedBroker, GroupProtocol, Handler, PartitionStatus, RunError,
};
use test_support::{NewRecord, StoredRecord, TestResult, Topics};

use crate::case;
use crate::service::Service;
use crate::stage::{BoxError, Fault, PARTITIONS, Stage, with_defaults};

const TOPIC: &str = "orders";
const GROUP: &str = "billing";

/// Cases that need the classic protocol. The Rust client cannot name the heartbeat by which members of the consumer
/// protocol join, and a commit that is refused while this heartbeat is answered is a contradiction: the runtime then
/// waits for a session timeout.
const CLASSIC: [&str; 2] = [
    "a_join_that_fails_is_repeated",
    "a_member_that_was_expelled_begins_again_at_the_commit",
];

/// Until it is healed.
const ALL: usize = 100_000;

// Kafka's error codes.
const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const NOT_COORDINATOR: i16 = 16;
const UNKNOWN_MEMBER_ID: i16 = 25;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

pub(crate) struct Embedded {
    service: Service,
    broker: EmbeddedBroker,
}

/// Runs a case on a broker of its own.
pub(crate) fn play(name: &str) -> TestResult {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut stage = Embedded::new()?;
    if CLASSIC.contains(&name) {
        let config = stage.service.config.clone();
        // A member that joins anew waits until the session of the one that it was is over.
        stage.service.config = config
            .group_protocol(GroupProtocol::Classic)
            .session_timeout(Duration::from_secs(3))
            .heartbeat_interval(Duration::from_millis(500));
    }
    let result = runtime.block_on(case::play(name, &mut stage));
    // The clients of a case that failed may hang, and the broker goes when they do.
    runtime.shutdown_background();
    result
}

impl Embedded {
    fn new() -> Result<Self, BoxError> {
        let broker = EmbeddedBroker::start()?;
        broker.create_topic(TOPIC, u32::try_from(PARTITIONS)?)?;
        let config = with_defaults(broker.config(), GROUP);
        let topics = Topics::new(broker.bootstrap_servers())?;
        let service = Service::new(config, topics, TOPIC.into(), GROUP.into());
        Ok(Self { service, broker })
    }

    fn request(fault: Fault) -> (BrokerRequest, i16, usize) {
        match fault {
            Fault::Commit => (
                BrokerRequest::OffsetCommit,
                COORDINATOR_LOAD_IN_PROGRESS,
                ALL,
            ),
            Fault::Membership => (BrokerRequest::OffsetCommit, UNKNOWN_MEMBER_ID, 1),
            Fault::Fetch => (BrokerRequest::Fetch, NOT_LEADER_OR_FOLLOWER, ALL),
            Fault::Join => (BrokerRequest::JoinGroup, NOT_COORDINATOR, ALL),
            Fault::OffsetFetch => (
                BrokerRequest::OffsetFetch,
                COORDINATOR_LOAD_IN_PROGRESS,
                ALL,
            ),
            Fault::ListOffsets => (BrokerRequest::ListOffsets, UNKNOWN_TOPIC_OR_PARTITION, ALL),
            Fault::Write => (BrokerRequest::Produce, NOT_LEADER_OR_FOLLOWER, ALL),
            Fault::Permission => (BrokerRequest::Produce, TOPIC_AUTHORIZATION_FAILED, ALL),
        }
    }
}

impl Stage for Embedded {
    fn topic(&self) -> &str {
        &self.service.topic
    }

    fn group(&self) -> &str {
        &self.service.group
    }

    async fn produce(&mut self, record: NewRecord) -> TestResult {
        self.service.produce(record).await
    }

    async fn start(&mut self, handler: Handler) -> TestResult {
        self.service.start(handler)
    }

    async fn stop(&mut self) -> Result<Result<(), RunError>, BoxError> {
        self.service.stop().await
    }

    async fn restart(&mut self) -> Result<Result<(), RunError>, BoxError> {
        self.service.restart().await
    }

    async fn failure(&mut self) -> Result<Option<RunError>, BoxError> {
        self.service.failure().await
    }

    fn partitions(&self) -> Vec<PartitionStatus> {
        self.service.partitions()
    }

    async fn join(&mut self, handler: Handler) -> TestResult {
        self.service.join(handler)
    }

    async fn leave(&mut self) -> TestResult {
        self.service.leave().await
    }

    async fn committed(&mut self, partition: i32) -> Result<Option<i64>, BoxError> {
        self.service.committed(partition).await
    }

    async fn records(&mut self, topic: &str) -> Result<Vec<StoredRecord>, BoxError> {
        self.service.records(topic).await
    }

    async fn pass(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn fail(&mut self, fault: Fault) -> TestResult {
        let (request, code, times) = Self::request(fault);
        Ok(self.broker.fail_requests(request, code, times)?)
    }

    async fn heal(&mut self, fault: Fault) -> TestResult {
        let (request, ..) = Self::request(fault);
        Ok(self.broker.answer_requests(request)?)
    }

    fn events(&self) -> Vec<String> {
        self.service.events.all()
    }
}
