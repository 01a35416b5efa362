//! The broker in memory: the test kit that users have, on a paused clock.

use std::time::Duration;

use kafka_runtime::testing::{TestRecord, TestRuntime};
use kafka_runtime::{
    ClientError, Config, Handler, MessagePayload, PartitionStatus, ProduceError, RunError,
};
use test_support::{NewRecord, StoredRecord, TestResult};

use crate::case;
use crate::handler::{Calls, Events};
use crate::stage::{
    BoxError, Fault, IN_FLIGHT, PARTITIONS, Stage, committed, until, with_defaults,
};

const TOPIC: &str = "orders";
const GROUP: &str = "billing";

#[derive(Default)]
pub(crate) struct Memory {
    test: Option<TestRuntime>,
    /// Written before the start, when there is no broker yet.
    written: Vec<NewRecord>,
    events: Events,
}

/// Runs a case, or what is declared instead, on a runtime of its own, whose clock is paused.
pub(crate) fn play(name: &str) -> TestResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    let mut stage = Memory::default();
    runtime.block_on(async {
        match name {
            TAKE_OVER => a_drained_partition_comes_back(&mut stage).await,
            FULL => a_full_partition_comes_back(&mut stage).await,
            _ => case::play(name, &mut stage).await,
        }
    })
}

/// What else is run, of cases whose outcome is another.
pub(crate) const INSTEAD: &[&str] = &[TAKE_OVER, FULL];
const TAKE_OVER: &str = "a_second_member_takes_over_after_a_drain";
const FULL: &str = "a_partition_that_was_full_is_read_again_when_it_comes_back";

impl Memory {
    fn test(&mut self) -> Result<&mut TestRuntime, BoxError> {
        self.test.as_mut().ok_or_else(|| "not started".into())
    }
}

impl Stage for Memory {
    fn topic(&self) -> &str {
        TOPIC
    }

    fn group(&self) -> &str {
        GROUP
    }

    async fn produce(&mut self, record: NewRecord) -> TestResult {
        match &self.test {
            Some(test) => drop(test.produce(&record.topic.clone(), payload(record)?)),
            None => self.written.push(record),
        }
        Ok(())
    }

    async fn start(&mut self, handler: Handler) -> TestResult {
        let test = TestRuntime::builder()
            .config(with_defaults(Config::new(), GROUP))
            .handlers([handler])
            .topic(TOPIC, PARTITIONS)
            .observer(self.events.clone())
            .without_tracing()
            .patience(Duration::from_millis(2))
            .start()
            .await?;
        self.test = Some(test);
        for record in std::mem::take(&mut self.written) {
            self.produce(record).await?;
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<Result<(), RunError>, BoxError> {
        let test = self.test()?;
        // `stop` would take all that there is to look at with it.
        test.control().shutdown();
        test.advance(Duration::from_secs(1)).await;
        Ok(test.error().cloned().map_or(Ok(()), Err))
    }

    async fn restart(&mut self) -> Result<Result<(), RunError>, BoxError> {
        Ok(self.test()?.restart().await)
    }

    async fn failure(&mut self) -> Result<Option<RunError>, BoxError> {
        Ok(self.test()?.error().cloned())
    }

    fn partitions(&self) -> Vec<PartitionStatus> {
        let groups = self.test.iter().flat_map(|test| test.control().status());
        groups.flat_map(|group| group.partitions).collect()
    }

    async fn join(&mut self, _: Handler) -> TestResult {
        Err("a group in memory has one member".into())
    }

    async fn leave(&mut self) -> TestResult {
        Err("a group in memory has one member".into())
    }

    async fn committed(&mut self, partition: i32) -> Result<Option<i64>, BoxError> {
        Ok(self.test()?.committed(TOPIC, partition))
    }

    async fn records(&mut self, topic: &str) -> Result<Vec<StoredRecord>, BoxError> {
        let records = self.test()?.records(topic).into_iter();
        Ok(records.map(stored).collect())
    }

    async fn pass(&mut self, time: Duration) {
        if let Some(test) = &mut self.test {
            test.advance(time).await;
        }
    }

    async fn fail(&mut self, fault: Fault) -> TestResult {
        let topic = self.dead_letter_topic();
        let test = self.test()?;
        match fault {
            Fault::Commit => test.refuse_commits(ClientError::TimedOut("for now".into())),
            Fault::Membership => test.refuse_commits(ClientError::NotAMember("expelled".into())),
            Fault::Fetch | Fault::OffsetFetch => test.disconnect_brokers(),
            Fault::Join | Fault::ListOffsets => {
                return Err("there is no such request in memory".into());
            }
            Fault::Write => {
                let error = ProduceError::TimedOut {
                    topic: topic.clone(),
                };
                test.refuse_writes(&topic, error);
            }
            Fault::Permission => {
                let error = ProduceError::Client {
                    topic: topic.clone(),
                    source: ClientError::Authorization("not you".into()),
                };
                test.refuse_writes(&topic, error);
            }
        }
        Ok(())
    }

    async fn heal(&mut self, fault: Fault) -> TestResult {
        let topic = self.dead_letter_topic();
        let test = self.test()?;
        match fault {
            Fault::Commit => test.accept_commits(),
            Fault::Membership => {
                test.accept_commits();
                test.lose().await;
                for partition in 0..PARTITIONS {
                    test.assign(TOPIC, partition).await;
                }
            }
            Fault::Fetch | Fault::OffsetFetch => test.reconnect_brokers(),
            Fault::Join | Fault::ListOffsets => {
                return Err("there is no such request in memory".into());
            }
            Fault::Write | Fault::Permission => test.accept_writes(&topic),
        }
        Ok(())
    }

    fn events(&self) -> Vec<String> {
        self.events.all()
    }
}

/// The group wants a partition back, and nobody else is there to take it.
async fn a_drained_partition_comes_back(stage: &mut Memory) -> TestResult {
    let calls = Calls::new();
    stage.start(calls.handler(TOPIC)).await?;
    stage.produce(stage.record("a", "gated")).await?;
    until(stage, "it runs", async |_| Ok(calls.started().len() == 1)).await?;

    stage.test()?.revoke(TOPIC, 0).await;
    stage.produce(stage.record("b", "later")).await?;
    stage.test()?.idle().await;
    assert!(stage.is_draining());
    calls.open();
    until(stage, "it is given back", async |stage| {
        Ok(!stage.is_draining())
    })
    .await?;
    assert_eq!(stage.committed(0).await?, Some(1));
    assert_eq!(calls.values(), ["gated"]);

    stage.test()?.assign(TOPIC, 0).await;
    committed(stage, 0, 2).await?;
    assert_eq!(calls.values(), ["gated", "later"]);
    assert_eq!(calls.started().len(), 2);
    Ok(stage.stop().await??)
}

async fn a_full_partition_comes_back(stage: &mut Memory) -> TestResult {
    let calls = Calls::new();
    for n in 0..IN_FLIGHT {
        stage.produce(stage.record(&n.to_string(), "gated")).await?;
    }
    stage.start(calls.handler(TOPIC).concurrency(1)).await?;
    until(stage, "it is full", async |stage| {
        Ok(stage.partitions().iter().any(|one| one.is_paused))
    })
    .await?;

    stage.test()?.revoke(TOPIC, 0).await;
    calls.open();
    until(stage, "it is given back", async |stage| {
        Ok(stage.partitions().len() == 1)
    })
    .await?;
    assert!(calls.started().len() < IN_FLIGHT, "nothing was left");
    stage.test()?.assign(TOPIC, 0).await;

    committed(stage, 0, i64::try_from(IN_FLIGHT)?).await?;
    assert_eq!(calls.started().len(), IN_FLIGHT);
    Ok(stage.stop().await??)
}

/// The public producer has no null headers: a case with some is declared as a difference.
fn payload(record: NewRecord) -> Result<MessagePayload, BoxError> {
    let mut payload = match (record.key, record.value) {
        (Some(key), Some(value)) => MessagePayload::new(value).key(key),
        (Some(key), None) => MessagePayload::tombstone(key),
        (None, Some(value)) => MessagePayload::new(value),
        (None, None) => MessagePayload::default(),
    };
    if let Some(partition) = record.partition {
        payload = payload.partition(partition);
    }
    if let Some(timestamp) = record.timestamp {
        payload = payload.timestamp_ms(timestamp);
    }
    for (name, value) in record.headers {
        payload = payload.header(name, value.ok_or("a header without value")?);
    }
    Ok(payload)
}

fn stored(record: TestRecord) -> StoredRecord {
    StoredRecord {
        partition: record.partition,
        offset: record.offset,
        timestamp: Some(record.timestamp_ms),
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}
