//! Real Kafka: librdkafka's client on the rig's cluster, whose proxy breaks connections and whose rules forbid.

use std::time::Duration;

use kafka_runtime::{Config, Handler, PartitionStatus, RunError};
use test_support::{
    ApiKey, ClusterBuilder, KafkaCluster, NewRecord, StoredRecord, TestResult, Topics, unique_name,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::case::{self, Case};
use crate::service::Service;
use crate::stage::{BoxError, Fault, PARTITIONS, Stage, with_defaults};

/// The cluster that the cases share.
pub(crate) fn cluster() -> ClusterBuilder {
    KafkaCluster::builder().proxied(true).authorizer(true)
}

/// There is one proxy: who uses it has it for himself.
static PROXY: Mutex<()> = Mutex::const_new(());

pub(crate) struct Real<'a> {
    service: Service,
    cluster: &'a KafkaCluster,
    _proxy: Option<MutexGuard<'static, ()>>,
}

impl<'a> Real<'a> {
    /// Prepares a topic. A stage that can be hurt has its service behind the proxy; what the case itself asks goes around it.
    pub(crate) async fn new(cluster: &'a KafkaCluster, is_hurting: bool) -> Result<Self, BoxError> {
        let (topic, group) = (unique_name("orders"), unique_name("billing"));
        let topics = Topics::new(cluster.bootstrap_servers())?;
        topics.create(&topic, PARTITIONS).await?;
        let servers = if is_hurting {
            cluster.proxied_bootstrap_servers()?
        } else {
            cluster.bootstrap_servers().to_owned()
        };
        let config = Config::new()
            .bootstrap_servers(servers)
            .ssl(false)
            // A member learns with its next heartbeat that another one joins.
            .heartbeat_interval(Duration::from_millis(300))
            // Else a connection that was closed often waits for up to 10 s.
            .property("reconnect.backoff.max.ms", "200");
        let proxy = if is_hurting {
            Some(PROXY.lock().await)
        } else {
            None
        };
        Ok(Self {
            service: Service::new(with_defaults(config, &group), topics, topic, group),
            cluster,
            _proxy: proxy,
        })
    }

    fn key(fault: Fault) -> Option<ApiKey> {
        match fault {
            Fault::Commit => Some(ApiKey::OFFSET_COMMIT),
            Fault::Fetch => Some(ApiKey::FETCH),
            Fault::Join => Some(ApiKey::JOIN_GROUP),
            Fault::OffsetFetch => Some(ApiKey::OFFSET_FETCH),
            Fault::ListOffsets => Some(ApiKey::LIST_OFFSETS),
            Fault::Write => Some(ApiKey::PRODUCE),
            Fault::Membership | Fault::Permission => None,
        }
    }
}

/// Runs a case on a topic and a group of its own.
pub(crate) async fn play(case: &Case, cluster: &KafkaCluster) -> TestResult {
    let mut stage = Real::new(cluster, case.is_hurting).await?;
    let result = case::play(case.name, &mut stage).await;
    if case.is_hurting {
        cluster.proxy(1)?.heal();
    }
    result
}

impl Stage for Real<'_> {
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
        match (fault, Self::key(fault)) {
            (_, Some(key)) => self.cluster.proxy(1)?.drop_connections_at(key, u64::MAX),
            (Fault::Membership, _) => self.cluster.expel(&self.service.group)?,
            _ => self.cluster.deny_write(&self.dead_letter_topic())?,
        }
        Ok(())
    }

    async fn heal(&mut self, fault: Fault) -> TestResult {
        match (fault, Self::key(fault)) {
            (_, Some(key)) => self.cluster.proxy(1)?.drop_connections_at(key, 0),
            // The member joins again by itself.
            (Fault::Membership, _) => {}
            _ => self.cluster.allow_write(&self.dead_letter_topic())?,
        }
        Ok(())
    }

    fn events(&self) -> Vec<String> {
        self.service.events.all()
    }
}
