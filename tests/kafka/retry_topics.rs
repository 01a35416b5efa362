//! Records that wait in retry topics: what follows them, who takes them over, what becomes of them in the end.

use std::time::Duration;

use kafka_runtime::{Batch, BatchOutcome, Handler, Key, RecordMetadata, Retry, Text};
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name};

use crate::common::{LIMIT, Log, committed, create, start};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "retry_topics::the_later_records_of_a_parked_key_follow_it_and_others_go_on",
            order_is_kept,
        )
        .test(
            "retry_topics::what_is_parked_is_taken_over_by_the_next_run",
            taken_over,
        )
        .test(
            "retry_topics::what_failed_in_a_batch_is_parked_and_its_key_follows",
            of_batches,
        )
}

/// Key, value, attempt, offset.
type Call = (String, String, u32, i64);

/// Fails for a value that begins with `bad` until the attempt is above the number behind it.
fn failing(topic: &str, log: &Log<Call>, waits: &[Duration]) -> Handler {
    let seen = log.clone();
    Handler::new(
        topic,
        move |text: Text, Key(key): Key<String>, at: RecordMetadata| {
            let seen = seen.clone();
            async move {
                let value = text.into_string().unwrap_or_default();
                seen.push((key, value.clone(), at.attempt(), at.offset()));
                let until = value.strip_prefix("bad").and_then(|n| n.parse().ok());
                match until {
                    Some(until) if at.attempt() <= until => Err("not yet"),
                    _ => Ok(()),
                }
            }
        },
    )
    .retry(Retry::NONE)
    .retry_topics(waits.iter().copied())
}

async fn produce(topics: &Topics, topic: &str, values: &[(&str, &str)]) -> TestResult {
    let records = values
        .iter()
        .map(|(key, value)| NewRecord::to(topic).key(*key).value(*value));
    topics.produce_all(records).await?;
    Ok(())
}

/// The calls of a key, in order, as value and attempt.
fn of_key(log: &Log<Call>, key: &str) -> Vec<(String, u32)> {
    let calls = log.all().into_iter().filter(|(k, ..)| k == key);
    calls
        .map(|(_, value, attempt, _)| (value, attempt))
        .collect()
}

fn calls(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
    expected
        .iter()
        .map(|(value, attempt)| ((*value).to_owned(), *attempt))
        .collect()
}

const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

async fn order_is_kept(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("parked"), unique_name("group"));
    let topics = create(cluster, &topic, 2).await?;
    let log = Log::default();
    let service = start(cluster, &group, [failing(&topic, &log, &WAITS)])?;

    // The first fails twice, once in the topic and once in its first retry topic; the last for good.
    produce(
        &topics,
        &topic,
        &[
            ("k", "bad2"),
            ("k", "second"),
            ("other", "o"),
            ("k", "third"),
            ("x", "bad9"),
        ],
    )
    .await?;

    log.reaches(9).await?;
    assert_eq!(of_key(&log, "other"), calls(&[("o", 1)]));
    let k = calls(&[
        ("bad2", 1),
        ("bad2", 2),
        ("bad2", 3),
        ("second", 1),
        ("third", 1),
    ]);
    assert_eq!(of_key(&log, "k"), k);
    assert_eq!(
        of_key(&log, "x"),
        calls(&[("bad9", 1), ("bad9", 2), ("bad9", 3)])
    );
    // The place of a record is the one in its topic, wherever it waited.
    let offsets: Vec<_> = log
        .all()
        .into_iter()
        .filter(|(k, ..)| k == "x")
        .map(|(.., offset)| offset)
        .collect();
    assert!(offsets.iter().all(|offset| *offset == offsets[0]));
    let dead = format!("{group}.{topic}.dlq");
    eventually(LIMIT, async || {
        topics
            .read_all(&dead)
            .await
            .is_ok_and(|read| read.len() == 1)
    })
    .await?;
    let letters = topics.read_all(&dead).await?;
    assert!(
        letters[0]
            .headers
            .iter()
            .all(|(name, _)| !name.starts_with("kafka_runtime.retry."))
    );
    service.stop().await
}

async fn taken_over(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("takenover"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let (first, second) = (Log::default(), Log::default());
    let service = start(cluster, &group, [failing(&topic, &first, &WAITS)])?;
    produce(&topics, &topic, &[("k", "bad1"), ("k", "second")]).await?;
    let parked = format!("{group}.{topic}.retry.1s");
    eventually(LIMIT, async || {
        topics
            .read_all(&parked)
            .await
            .is_ok_and(|read| read.len() == 2)
    })
    .await?;
    service.stop().await?;

    let service = start(cluster, &group, [failing(&topic, &second, &WAITS)])?;
    produce(&topics, &topic, &[("k", "third")]).await?;

    second.reaches(3).await?;
    assert_eq!(of_key(&first, "k"), calls(&[("bad1", 1)]));
    assert_eq!(
        of_key(&second, "k"),
        calls(&[("bad1", 2), ("second", 1), ("third", 1)])
    );
    service.stop().await
}

/// Fails as [`failing`] does, and with a record all later ones of its key in the batch.
fn failing_in_batches(topic: &str, log: &Log<Call>) -> Handler {
    let seen = log.clone();
    Handler::batch(topic, move |batch: Batch<Text>| {
        let mut outcome = BatchOutcome::ok();
        let mut failed = Vec::new();
        for (index, record) in batch.iter().enumerate() {
            let key: String = record.key_as().unwrap_or_default();
            let value = record.as_str().unwrap_or_default();
            let until = value.strip_prefix("bad").and_then(|n| n.parse().ok());
            if failed.contains(&key) {
                outcome.fail(index, "behind another");
                continue;
            }
            seen.push((
                key.clone(),
                value.to_owned(),
                record.attempt(),
                record.offset(),
            ));
            if until.is_some_and(|until| record.attempt() <= until) {
                outcome.fail(index, "not yet");
                failed.push(key);
            }
        }
        async { outcome }
    })
    .retry(Retry::NONE)
    .retry_topics(WAITS)
}

async fn of_batches(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("parkedbatch"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let log = Log::default();
    let values = [
        ("k", "bad2"),
        ("k", "second"),
        ("other", "o"),
        ("k", "third"),
        ("x", "bad9"),
    ];
    produce(&topics, &topic, &values).await?;
    let service = start(cluster, &group, [failing_in_batches(&topic, &log)])?;

    log.reaches(9).await?;
    assert_eq!(of_key(&log, "other"), calls(&[("o", 1)]));
    let x = calls(&[("bad9", 1), ("bad9", 2), ("bad9", 3)]);
    assert_eq!(of_key(&log, "x"), x);
    let of_k = of_key(&log, "k").into_iter().map(|(value, _)| value);
    assert_eq!(
        of_k.collect::<Vec<_>>(),
        ["bad2", "bad2", "bad2", "second", "third"]
    );
    let dead = format!("{group}.{topic}.dlq");
    eventually(LIMIT, async || {
        topics
            .read_all(&dead)
            .await
            .is_ok_and(|read| read.len() == 1)
    })
    .await?;
    committed(&topics, &group, &topic, &[5]).await?;
    service.stop().await
}
