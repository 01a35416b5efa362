//! What only a broker that errs on demand can show: the embedded one.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_runtime::{BrokerRequest, EmbeddedBroker, Handler, Raw, RecordMetadata, Runtime};
use test_support::{NewRecord, TestResult, Topics};

const PARTITIONS: i32 = 4;
const LIMIT: Duration = Duration::from_secs(30);

// Kafka's error code.
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

/// A broker that has just begun to serve a partition says for a moment that it does not know it, whenever it is asked
/// where the partition begins or ends. Each number of such answers hits another question: of librdkafka, or of ours.
#[tokio::test]
async fn records_of_a_partition_that_a_broker_does_not_know_yet_are_all_handled() -> TestResult {
    for wrong_answers in 0..12 {
        let handled = handle_all(wrong_answers).await;
        handled.map_err(|error| format!("after {wrong_answers} wrong answers: {error}"))?;
    }
    Ok(())
}

/// Handles a record of each partition, while the first answers about offsets are wrong.
async fn handle_all(wrong_answers: usize) -> TestResult {
    let broker = EmbeddedBroker::start()?;
    broker.create_topic("orders", u32::try_from(PARTITIONS)?)?;
    let topics = Topics::new(broker.bootstrap_servers())?;
    for partition in 0..PARTITIONS {
        let record = NewRecord::to("orders").partition(partition).value("x");
        topics.produce(record).await?;
    }
    broker.fail_requests(
        BrokerRequest::ListOffsets,
        UNKNOWN_TOPIC_OR_PARTITION,
        wrong_answers,
    )?;
    let (seen, mut records) = tokio::sync::mpsc::unbounded_channel();
    let handler = Handler::new("orders", move |_: Raw, at: RecordMetadata| {
        let sent = seen.send(at.partition());
        async move { sent }
    });
    let runtime = Runtime::builder()
        .config(broker.config().group_id("g"))
        .handlers([handler])
        .build()?;
    let control = runtime.control();
    let run = tokio::spawn(runtime.run_until(std::future::pending()));

    let mut missing: BTreeSet<i32> = (0..PARTITIONS).collect();
    let waited = tokio::time::timeout(LIMIT, async {
        while !missing.is_empty() {
            let partition = records.recv().await.ok_or("the runtime ended")?;
            missing.remove(&partition);
        }
        Ok::<_, &str>(())
    })
    .await;

    control.shutdown();
    run.await??;
    waited.map_err(|error| format!("{error}: no record of partitions {missing:?}"))??;
    Ok(())
}
