//! Batch handlers.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_runtime::{Batch, Handler, Retry};
use test_support::{KafkaCluster, NewRecord, StoredRecord, Suite, TestResult, unique_name};

use crate::common::{Log, committed, create, start};

pub(crate) fn add(suite: Suite) -> Suite {
    suite.test(
        "batch::bad_records_are_parked_alone_and_keys_stay_in_order",
        bad_records_alone,
    )
}

const PARTITIONS: usize = 2;
const KEYS: usize = 7;
const COUNT: usize = 1000;
const BAD: usize = 400;
const NOT_A_NUMBER: usize = 700;

/// Partition, offset and value of each record of a batch.
type Seen = Vec<(i32, i64, usize)>;

async fn bad_records_alone(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("batch"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    let records = (0..COUNT).map(|n| {
        let value = match n {
            NOT_A_NUMBER => "none".to_owned(),
            n => n.to_string(),
        };
        let partition = i32::from(n % PARTITIONS == 1);
        NewRecord::to(&topic)
            .partition(partition)
            .key((n % KEYS).to_string())
            .value(value)
    });
    topics.produce_all(records).await?;
    let handler = |log: &Log<Seen>| {
        let log = log.clone();
        let handler = Handler::batch(&topic, move |batch: Batch<usize>| {
            let seen = batch
                .iter()
                .map(|record| (batch.partition(), record.offset(), **record))
                .collect();
            let is_bad = batch.payloads().any(|n| *n == BAD);
            let log = log.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if is_bad {
                    return Err("one of them is bad");
                }
                log.push(seen);
                Ok(())
            }
        });
        handler.batch_size(50).retry(Retry {
            attempts: 3,
            initial: Duration::from_millis(10),
            max: Duration::from_millis(20),
        })
    };

    let log = Log::default();
    let running = start(cluster, &group, [handler(&log)])?;
    committed(&topics, &group, &topic, &[500, 500]).await?;
    running.stop().await?;

    let batches = log.all();
    assert!(batches.iter().all(|batch| batch.len() <= 50));
    assert!(batches.iter().any(|batch| batch.len() == 50));
    let is_of_one_partition = |batch: &Seen| batch.iter().all(|record| record.0 == batch[0].0);
    assert!(batches.iter().all(is_of_one_partition));
    let mut of_key = BTreeMap::<_, Vec<usize>>::new();
    for (partition, _, n) in batches.into_iter().flatten() {
        of_key.entry((partition, n % KEYS)).or_default().push(n);
    }
    let count: usize = of_key.values().map(Vec::len).sum();
    assert_eq!(count, COUNT - 2);
    assert!(of_key.values().all(|numbers| numbers.is_sorted()));
    let letters = topics.read_all(&format!("{group}.{topic}.dlq")).await?;
    let mut parked: Vec<_> = letters.iter().map(StoredRecord::value_text).collect();
    parked.sort();
    assert_eq!(parked, [BAD.to_string(), "none".to_owned()]);

    let again = Log::default();
    let running = start(cluster, &group, [handler(&again)])?;
    topics
        .produce(NewRecord::to(&topic).partition(0).value("1000"))
        .await?;
    let seen = again.reaches(1).await?;
    running.stop().await?;
    assert_eq!(seen, [[(0, 500, 1000)]]);
    Ok(())
}
