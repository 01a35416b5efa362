//! A runtime on librdkafka's client, and what lies at its broker: what the embedded broker and real Kafka share.

use std::time::Duration;

use kafka_runtime::{Config, Control, Handler, PartitionStatus, RunError, Runtime};
use test_support::{NewRecord, StoredRecord, TestResult, Topics};
use tokio::task::JoinHandle;

use crate::handler::Events;
use crate::stage::BoxError;

/// A stop that takes longer hangs: grace and bounded rest are below 3 s.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Service {
    pub(crate) config: Config,
    pub(crate) topic: String,
    pub(crate) group: String,
    topics: Topics,
    handler: Option<Handler>,
    members: Vec<Member>,
    pub(crate) events: Events,
}

struct Member {
    control: Control,
    run: Run,
}

enum Run {
    Going(JoinHandle<Result<(), RunError>>),
    Ended(Result<(), RunError>),
}

impl Member {
    /// Waits until it has ended; returns how.
    async fn ended(&mut self) -> Result<Result<(), RunError>, BoxError> {
        if let Run::Going(task) = &mut self.run {
            self.run = Run::Ended(tokio::time::timeout(LIMIT, task).await??);
        }
        match &self.run {
            Run::Ended(result) => Ok(result.clone()),
            Run::Going(_) => unreachable!("it has just ended"),
        }
    }
}

impl Service {
    pub(crate) fn new(config: Config, topics: Topics, topic: String, group: String) -> Self {
        Self {
            config,
            topic,
            group,
            topics,
            handler: None,
            members: Vec::new(),
            events: Events::default(),
        }
    }

    pub(crate) async fn produce(&self, record: NewRecord) -> TestResult {
        self.topics.produce(record).await?;
        Ok(())
    }

    pub(crate) fn start(&mut self, handler: Handler) -> TestResult {
        self.handler = Some(handler.clone());
        self.join(handler)
    }

    pub(crate) fn join(&mut self, handler: Handler) -> TestResult {
        let runtime = Runtime::builder()
            .config(self.config.clone())
            .handlers([handler])
            .observer(self.events.clone())
            .build()?;
        let control = runtime.control();
        let task = tokio::spawn(runtime.run_until(std::future::pending()));
        self.members.push(Member {
            control,
            run: Run::Going(task),
        });
        Ok(())
    }

    /// Stops all members; returns how they ended: the first that failed.
    pub(crate) async fn stop(&mut self) -> Result<Result<(), RunError>, BoxError> {
        let mut ended = Ok(());
        for mut member in std::mem::take(&mut self.members) {
            member.control.shutdown();
            ended = ended.and(member.ended().await?);
        }
        Ok(ended)
    }

    pub(crate) async fn restart(&mut self) -> Result<Result<(), RunError>, BoxError> {
        let ended = self.stop().await?;
        let handler = self.handler.clone().ok_or("not started")?;
        self.start(handler)?;
        Ok(ended)
    }

    pub(crate) async fn failure(&mut self) -> Result<Option<RunError>, BoxError> {
        for member in &mut self.members {
            let has_ended = match &member.run {
                Run::Going(task) => task.is_finished(),
                Run::Ended(_) => true,
            };
            if has_ended && let Err(error) = member.ended().await? {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }

    pub(crate) fn partitions(&self) -> Vec<PartitionStatus> {
        let groups = self.members.iter().flat_map(|m| m.control.status());
        groups.flat_map(|group| group.partitions).collect()
    }

    pub(crate) async fn leave(&mut self) -> TestResult {
        let mut last = self.members.pop().ok_or("nobody has joined")?;
        last.control.shutdown();
        Ok(last.ended().await??)
    }

    pub(crate) async fn committed(&self, partition: i32) -> Result<Option<i64>, BoxError> {
        let offsets = self.topics.committed_offsets(&self.group, &self.topic);
        Ok(offsets.await?.get(&partition).copied())
    }

    pub(crate) async fn records(&self, topic: &str) -> Result<Vec<StoredRecord>, BoxError> {
        if self.topics.describe(topic).await?.is_none() {
            return Ok(Vec::new());
        }
        Ok(self.topics.read_all(topic).await?)
    }
}
