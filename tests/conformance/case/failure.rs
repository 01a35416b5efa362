//! Records that fail: tried again, given up, skipped, parked, or the end of the run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_runtime::{
    Batch, BatchOutcome, DEAD_LETTER_HEADER_PREFIX, FailurePolicy, Handler, Json, Ordering, Retry,
    RunError, Text,
};
use test_support::{NewRecord, StoredRecord, TestResult};

use crate::handler::Calls;
use crate::stage::{Stage, committed, dead_letters, quick, stays, until};

/// The headers that a parked record has.
const PARKED_PREFIX: &str = "kafka_runtime.retry.";

/// A header that the runtime has added to a dead letter.
fn ours(record: &StoredRecord, name: &str) -> String {
    let name = format!("{DEAD_LETTER_HEADER_PREFIX}{name}");
    record.header_text(&name).unwrap_or_default()
}

fn attempts(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
    let owned = |(value, attempt): &(&str, u32)| ((*value).to_owned(), *attempt);
    expected.iter().map(owned).collect()
}

pub(super) async fn a_retry_blocks_only_its_key<S: Stage>(stage: &mut S) -> TestResult {
    // More than there are lanes: some share one with the key that fails.
    const OTHERS: usize = 16;
    let calls = Calls::new();
    stage.produce(stage.record("k", "shut")).await?;
    stage.produce(stage.record("k", "behind")).await?;
    for n in 0..OTHERS {
        let record = stage.record(&n.to_string(), "other");
        stage.produce(record).await?;
    }
    let handler = calls.handler(stage.topic()).retry(quick(10_000));
    stage.start(handler).await?;

    until(stage, "the other keys are finished", async |_| {
        Ok(calls.values() == ["other"; OTHERS])
    })
    .await?;
    until(stage, "it is tried again", async |_| {
        Ok(calls.attempts().contains(&("shut".into(), 3)))
    })
    .await?;
    assert_eq!(calls.values(), ["other"; OTHERS]);
    assert_eq!(stage.committed(0).await?, None);

    calls.open();
    committed(stage, 0, i64::try_from(OTHERS)? + 2).await?;
    assert_eq!(calls.values()[OTHERS..], ["shut", "behind"]);
    Ok(stage.stop().await??)
}

pub(super) async fn a_transient_error_is_tried_again_until_it_succeeds<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    stage.produce(stage.record("k", "fails2")).await?;
    stage.produce(stage.record("k", "next")).await?;
    let handler = calls.handler(stage.topic()).retry(quick(5));
    stage.start(handler).await?;

    committed(stage, 0, 2).await?;

    let expected = [("fails2", 1), ("fails2", 2), ("fails2", 3), ("next", 1)];
    assert_eq!(calls.attempts(), attempts(&expected));
    assert!(dead_letters(stage, 0).await?.is_empty());
    Ok(stage.stop().await??)
}

pub(super) async fn a_permanent_error_is_dead_lettered_byte_for_byte<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let record = NewRecord::to(stage.topic())
        .partition(1)
        .key([0, 0xff, b'k'])
        .value(b"permanent \xfe\x00\xff".as_slice())
        .header("trace", "first")
        .header("trace", [0xff, 0])
        .header("empty", "")
        .timestamp(1_700_000_000_000);
    is_kept(stage, record).await
}

pub(super) async fn a_header_without_value_survives_a_dead_letter<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let record = NewRecord::to(stage.topic())
        .partition(1)
        .value("permanent")
        .header("name", "")
        .null_header("name");
    is_kept(stage, record).await
}

/// A record that is given up lies in the dead letter topic as it was, with our headers behind its own.
async fn is_kept<S: Stage>(stage: &mut S, record: NewRecord) -> TestResult {
    let calls = Calls::new();
    stage.produce(record).await?;
    let handler = calls.handler(stage.topic()).with_name("on_order");
    stage.start(handler.retry(quick(5))).await?;

    let letters = dead_letters(stage, 1).await?;
    committed(stage, 1, 1).await?;

    let topic = stage.topic().to_owned();
    let source = &stage.records(&topic).await?[0];
    let letter = &letters[0];
    assert_eq!((&letter.key, &letter.value), (&source.key, &source.value));
    let (theirs, added) = letter.headers.split_at(source.headers.len());
    assert_eq!(theirs, source.headers);
    let is_ours = |name: &str| name.starts_with(DEAD_LETTER_HEADER_PREFIX);
    assert!(added.iter().all(|(name, _)| is_ours(name)));
    let said = [
        "topic",
        "partition",
        "offset",
        "group",
        "handler",
        "attempts",
        "class",
    ]
    .map(|name| ours(letter, name));
    let group = stage.group();
    assert_eq!(
        said,
        [&topic, "1", "0", group, "on_order", "1", "permanent"]
    );
    let timestamp = source.timestamp.unwrap_or_default().to_string();
    assert_eq!(ours(letter, "timestamp"), timestamp);
    assert_eq!(calls.started().len(), 1);
    Ok(stage.stop().await??)
}

pub(super) async fn an_undecodable_record_is_dead_lettered_without_a_call<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for value in ["7", "seven", "8"] {
        stage.produce(stage.record("k", value)).await?;
    }
    let log = Arc::clone(&seen);
    let handler = Handler::new(stage.topic(), move |Json(number): Json<u64>| {
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(number);
        std::future::ready(())
    });
    stage.start(handler.retry(quick(5))).await?;

    let letters = dead_letters(stage, 1).await?;
    committed(stage, 0, 3).await?;

    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(seen, [7, 8]);
    assert_eq!(letters[0].value_text(), "seven");
    assert_eq!(ours(&letters[0], "class"), "decode");
    assert_eq!(ours(&letters[0], "attempts"), "1");
    let retried = |event: &String| event.starts_with("Retrying");
    assert!(!stage.events().iter().any(retried));
    Ok(stage.stop().await??)
}

pub(super) async fn a_panic_is_the_failure_of_one_record<S: Stage>(stage: &mut S) -> TestResult {
    fails_alone(stage, "panics", "panic").await
}

pub(super) async fn a_timeout_is_the_failure_of_one_record<S: Stage>(stage: &mut S) -> TestResult {
    fails_alone(stage, "hangs", "timeout").await
}

/// A record that fails in this way is tried twice and given up; the next one of its key is handled.
async fn fails_alone<S: Stage>(stage: &mut S, value: &str, class: &str) -> TestResult {
    let calls = Calls::new();
    stage.produce(stage.record("k", value)).await?;
    stage.produce(stage.record("k", "next")).await?;
    let handler = calls.handler(stage.topic()).retry(quick(2));
    let handler = handler.timeout(Duration::from_millis(200));
    stage.start(handler).await?;

    let letters = dead_letters(stage, 1).await?;
    committed(stage, 0, 2).await?;

    let expected = [(value, 1), (value, 2), ("next", 1)];
    assert_eq!(calls.attempts(), attempts(&expected));
    assert_eq!(letters[0].value_text(), value);
    assert_eq!(ours(&letters[0], "class"), class);
    assert_eq!(ours(&letters[0], "attempts"), "2");
    Ok(stage.stop().await??)
}

pub(super) async fn policy_skip_goes_on<S: Stage>(stage: &mut S) -> TestResult {
    let calls = Calls::new();
    stage.produce(stage.record("k", "shut")).await?;
    stage.produce(stage.record("k", "next")).await?;
    let handler = calls.handler(stage.topic()).retry(quick(2));
    stage.start(handler.on_failure(FailurePolicy::Skip)).await?;

    committed(stage, 0, 2).await?;

    let expected = [("shut", 1), ("shut", 2), ("next", 1)];
    assert_eq!(calls.attempts(), attempts(&expected));
    let skipped = |event: &&String| event.starts_with("Skipped");
    assert_eq!(stage.events().iter().filter(skipped).count(), 1);
    assert!(dead_letters(stage, 0).await?.is_empty());
    Ok(stage.stop().await??)
}

pub(super) async fn policy_stop_ends_the_run_and_commits_nothing_past_the_record<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    for value in ["first", "permanent", "third"] {
        stage.produce(stage.record("k", value)).await?;
    }
    let handler = calls.handler(stage.topic()).ordering(Ordering::Partition);
    stage.start(handler.on_failure(FailurePolicy::Stop)).await?;

    let mut failure = None;
    until(stage, "it has ended by itself", async |stage| {
        failure = stage.failure().await?;
        Ok(failure.is_some())
    })
    .await?;

    let Some(RunError::RecordFailed { record, error, .. }) = failure else {
        return Err(format!("{failure:?}").into());
    };
    assert_eq!((record.partition, record.offset.0), (0, 1));
    assert_eq!(error, "never");
    committed(stage, 0, 1).await?;
    assert_eq!(
        calls.attempts(),
        attempts(&[("first", 1), ("permanent", 1)])
    );
    assert!(dead_letters(stage, 0).await?.is_empty());
    Ok(())
}

pub(super) async fn headers_that_claim_to_be_ours_do_not_steer<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    let attempts_header = format!("{DEAD_LETTER_HEADER_PREFIX}attempts");
    let mut record = stage.record("k", "permanent").header("kept", "1");
    for name in ["topic", "partition", "offset", "attempts", "group", "class"] {
        record = record.header(format!("{DEAD_LETTER_HEADER_PREFIX}{name}"), "999");
        record = record.header(format!("{PARKED_PREFIX}{name}"), "999");
    }
    stage.produce(record).await?;
    let handler = calls.handler(stage.topic()).retry(quick(3));
    let handler = handler.retry_topics([Duration::from_mins(1)]);
    stage.start(handler).await?;

    let letters = dead_letters(stage, 1).await?;
    committed(stage, 0, 1).await?;

    assert_eq!(calls.attempts(), attempts(&[("permanent", 1)]));
    let letter = &letters[0];
    let said = ["topic", "partition", "offset", "group", "attempts", "class"]
        .map(|name| ours(letter, name));
    let (topic, group) = (stage.topic(), stage.group());
    assert_eq!(said, [topic, "0", "0", group, "1", "permanent"]);
    let named = letter
        .headers
        .iter()
        .filter(|(name, _)| *name == attempts_header);
    assert_eq!(named.count(), 1);
    assert_eq!(letter.header_text("kept").as_deref(), Some("1"));
    Ok(stage.stop().await??)
}

pub(super) async fn retry_topics_keep_the_order_of_a_parked_key<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    for (key, value) in [
        ("k", "shut"),
        ("k", "second"),
        ("other", "o"),
        ("k", "third"),
    ] {
        stage.produce(stage.record(key, value)).await?;
    }
    let handler = calls.handler(stage.topic()).retry(Retry::NONE);
    let handler = handler.retry_topics([Duration::from_secs(1)]);
    stage.start(handler).await?;

    let parked = format!("{}.{}.retry.1s", stage.group(), stage.topic());
    until(stage, "the key is parked", async |stage| {
        Ok(stage.records(&parked).await?.len() == 3)
    })
    .await?;
    committed(stage, 0, 4).await?;
    assert_eq!(calls.values(), ["o"]);
    assert_eq!(
        calls.attempts().iter().filter(|call| call.0 != "o").count(),
        1
    );
    calls.open();
    until(stage, "all are handled", async |_| {
        Ok(calls.finished().len() == 4)
    })
    .await?;

    assert_eq!(calls.values(), ["o", "shut", "second", "third"]);
    assert!(calls.attempts().contains(&("shut".into(), 2)));
    // The place of a record is the one in its topic, wherever it waited.
    let offsets: Vec<_> = calls.finished().iter().map(|call| call.offset).collect();
    assert_eq!(offsets, [2, 0, 1, 3]);
    assert!(dead_letters(stage, 0).await?.is_empty());
    Ok(stage.stop().await??)
}

pub(super) async fn a_batch_takes_a_verdict_for_each_record<S: Stage>(stage: &mut S) -> TestResult {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for value in ["good", "bad", "skip", "fine"] {
        stage.produce(stage.record(value, value)).await?;
    }
    let log = Arc::clone(&seen);
    let handler = Handler::batch(stage.topic(), move |batch: Batch<Text>| {
        let mut outcome = BatchOutcome::ok();
        for (index, record) in batch.iter().enumerate() {
            let value = record.as_str().unwrap_or_default();
            let call = (value.to_owned(), record.attempt());
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(call);
            match value {
                "bad" => outcome.fail(index, "not this one"),
                "skip" => outcome.skip(index, "not for us"),
                _ => {}
            }
        }
        async { outcome }
    });
    let handler = handler.batch_size(4).linger(Duration::from_millis(500));
    stage.start(handler.retry(quick(3))).await?;

    let letters = dead_letters(stage, 1).await?;
    committed(stage, 0, 4).await?;
    stays(stage, "one dead letter", async |stage| {
        Ok(stage.records(&stage.dead_letter_topic()).await?.len() == 1)
    })
    .await?;

    assert_eq!(letters[0].value_text(), "bad");
    assert_eq!(ours(&letters[0], "attempts"), "3");
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    seen.sort();
    let expected = [
        ("bad", 1),
        ("bad", 2),
        ("bad", 3),
        ("fine", 1),
        ("good", 1),
        ("skip", 1),
    ];
    assert_eq!(seen, attempts(&expected));
    Ok(stage.stop().await??)
}
