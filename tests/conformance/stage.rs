//! What a case plays on: a topic, a group, a runtime that can be started and stopped, and a broker that can be hurt.

use std::time::Duration;

use kafka_runtime::{Config, Handler, PartitionStatus, Retry, RunError};
use test_support::{NewRecord, StoredRecord, TestResult};
use tokio::time::Instant;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Of the topic of a stage.
pub(crate) const PARTITIONS: i32 = 2;

/// Of a member.
pub(crate) const IN_FLIGHT: usize = 40;

/// Until everything that a case waits for has come about: of the stage's clock. Long, for two cores are shared by many.
const LIMIT: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(20);

/// Retries that a test need not wait for.
pub(crate) fn quick(attempts: u32) -> Retry {
    Retry {
        attempts,
        initial: Duration::from_millis(10),
        max: Duration::from_millis(20),
    }
}

/// What every backend runs with.
pub(crate) fn with_defaults(config: Config, group: &str) -> Config {
    config
        .group_id(group)
        .commit_interval(Duration::from_millis(100))
        .shutdown_grace(Duration::from_millis(500))
        // Few, so that partitions are paused and resumed for it.
        .max_in_flight_records(IN_FLIGHT)
}

/// Something that a broker does to its clients until it is healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Commits fail, for a reason that passes.
    Commit,
    /// The group has expelled the member: its next commit is refused.
    Membership,
    /// Fetches fail, for a reason that passes.
    Fetch,
    /// Joining the group fails; to be said before the start.
    Join,
    /// Nobody says what is committed; to be said before a start.
    OffsetFetch,
    /// Nobody says where a partition begins, as of one that is just being created; to be said before a start.
    ListOffsets,
    /// Writes to the dead letter topic fail, for a reason that passes.
    Write,
    /// Nobody may write to the dead letter topic.
    Permission,
}

/// One of the backends, as a case sees it. What it waits for passes on the stage's clock, which is paused in memory.
pub(crate) trait Stage: Sized {
    /// The topic: nobody else's, of [`PARTITIONS`].
    fn topic(&self) -> &str;

    /// The group of the handler: nobody else's.
    fn group(&self) -> &str;

    async fn produce(&mut self, record: NewRecord) -> TestResult;

    /// Starts a runtime with this handler.
    async fn start(&mut self, handler: Handler) -> TestResult;

    /// Stops it cleanly; returns how it ended.
    async fn stop(&mut self) -> Result<Result<(), RunError>, BoxError>;

    /// The same, then starts another runtime with the same handler.
    async fn restart(&mut self) -> Result<Result<(), RunError>, BoxError>;

    /// Why it has ended by itself, if it has.
    async fn failure(&mut self) -> Result<Option<RunError>, BoxError>;

    /// The partitions of all members.
    fn partitions(&self) -> Vec<PartitionStatus>;

    /// Another member of the group, with a handler of its own.
    async fn join(&mut self, handler: Handler) -> TestResult;

    /// The member that joined last leaves.
    async fn leave(&mut self) -> TestResult;

    /// What the group has committed of the topic.
    async fn committed(&mut self, partition: i32) -> Result<Option<i64>, BoxError>;

    /// The records of a topic, by partition and offset; none if it is not there.
    async fn records(&mut self, topic: &str) -> Result<Vec<StoredRecord>, BoxError>;

    /// Lets some time pass.
    async fn pass(&mut self, time: Duration);

    async fn fail(&mut self, fault: Fault) -> TestResult;

    async fn heal(&mut self, fault: Fault) -> TestResult;

    /// What the runtime's observers were told, as text.
    fn events(&self) -> Vec<String>;

    /// True while a member finishes what runs, of a partition that it is to give back.
    fn is_draining(&self) -> bool {
        self.partitions().iter().any(|one| one.is_draining)
    }

    /// A record for partition 0.
    fn record(&self, key: &str, value: &str) -> NewRecord {
        NewRecord::to(self.topic())
            .partition(0)
            .key(key)
            .value(value)
    }

    fn dead_letter_topic(&self) -> String {
        format!("{}.{}.dlq", self.group(), self.topic())
    }
}

/// Waits until something is so. A question that was not answered is asked again: a new group has no coordinator yet.
pub(crate) async fn until<S: Stage>(
    stage: &mut S,
    what: &str,
    mut is_so: impl AsyncFnMut(&mut S) -> Result<bool, BoxError>,
) -> TestResult {
    // Tokio's clock, which is the stage's.
    let end = Instant::now() + LIMIT;
    loop {
        let answer = is_so(stage).await;
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > end {
            let events = stage.events();
            let last = events[events.len().saturating_sub(12)..].join("\n  ");
            return Err(format!("not so: {what} ({answer:?}); the last events:\n  {last}").into());
        }
        stage.pass(POLL).await;
    }
}

/// Checks that something stays so, for half a second of the stage's clock: five commit intervals.
pub(crate) async fn stays<S: Stage>(
    stage: &mut S,
    what: &str,
    mut is_so: impl AsyncFnMut(&mut S) -> Result<bool, BoxError>,
) -> TestResult {
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        if !is_so(stage).await? {
            return Err(format!("it did not stay so: {what}").into());
        }
        stage.pass(POLL).await;
    }
    Ok(())
}

/// Waits until so much of a partition is committed.
pub(crate) async fn committed<S: Stage>(stage: &mut S, partition: i32, offset: i64) -> TestResult {
    let what = format!("partition {partition} is committed up to {offset}");
    until(stage, &what, async |stage| {
        Ok(stage.committed(partition).await? == Some(offset))
    })
    .await
}

/// Waits until there are so many dead letters; returns them.
pub(crate) async fn dead_letters<S: Stage>(
    stage: &mut S,
    count: usize,
) -> Result<Vec<StoredRecord>, BoxError> {
    let topic = stage.dead_letter_topic();
    let mut found = Vec::new();
    until(
        stage,
        &format!("{topic} has {count} records"),
        async |stage| {
            found = stage.records(&topic).await?;
            Ok(found.len() >= count)
        },
    )
    .await?;
    Ok(found)
}
