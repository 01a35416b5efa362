//! Batches on the in-memory broker: one thread, paused time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::client::Polled;
use crate::engine::backpressure::Budget;
use crate::engine::poll::Command;
use crate::engine::tests::{Bench, DEAD, DRAIN, GRACE, Seen, TOPIC, at};
use crate::error::RunError;
use crate::producer::ProduceError;
use crate::{
    Batch, BatchOutcome, BatchRecord, BoxError, Breaker, CancellationToken, DecodeError,
    FailurePolicy, FromRecord, Handler, Ordering, PermanentError, Record, Retry, Text,
};

const LINGER: Duration = Duration::from_millis(200);
pub(super) const A_MOMENT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_hours(1);

pub(super) type MakeError = fn() -> BoxError;

/// A batch as tests tell it: its values, those that were tried before with the number of the attempt.
pub(super) fn told(batch: &Batch<Text>) -> String {
    let each = batch.iter().map(|record| match record.attempt() {
        1 => value(record).to_owned(),
        n => format!("{}#{n}", value(record)),
    });
    each.collect::<Vec<_>>().join(" ")
}

pub(super) fn value(record: &BatchRecord<Text>) -> &str {
    record.as_str().unwrap()
}

fn quick() -> Retry {
    Retry {
        attempts: 3,
        initial: Duration::from_millis(100),
        max: Duration::from_millis(100),
    }
}

/// A handler that notes each batch, and fails it if it holds a value that begins with `bad`.
pub(super) fn all_or_nothing(seen: &Seen, error: MakeError) -> Handler {
    let seen = seen.clone();
    let handler = Handler::batch(TOPIC, move |batch: Batch<Text>| {
        seen.push(told(&batch));
        let is_bad = batch.iter().any(|record| value(record).starts_with("bad"));
        async move { if is_bad { Err(error()) } else { Ok(()) } }
    });
    handler.linger(Duration::ZERO).retry(quick())
}

/// A handler that notes each batch, and gives each record the verdict that its value asks for.
pub(super) fn judging(seen: &Seen) -> Handler {
    let seen = seen.clone();
    let handler = Handler::batch(TOPIC, move |batch: Batch<Text>| {
        seen.push(told(&batch));
        let mut outcome = BatchOutcome::ok();
        for (index, record) in batch.iter().enumerate() {
            match value(record) {
                text if text.starts_with("bad") => outcome.fail(index, "no"),
                text if text.starts_with("never") => {
                    outcome.fail(index, PermanentError::new("never"));
                }
                text if text.starts_with("skip") => outcome.skip(index, "a test"),
                _ => {}
            }
        }
        async { outcome }
    });
    handler.linger(Duration::ZERO).retry(quick())
}

/// A handler that notes each batch, then waits for a permit of the gate.
fn gated(seen: &Seen, gate: &Arc<Semaphore>) -> Handler {
    let (seen, gate) = (seen.clone(), Arc::clone(gate));
    let handler = Handler::batch(TOPIC, move |batch: Batch<Text>| {
        let (seen, gate) = (seen.clone(), Arc::clone(&gate));
        async move {
            seen.push(told(&batch));
            gate.acquire().await.unwrap().forget();
        }
    });
    handler.linger(Duration::ZERO)
}

fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

/// Appends records without a key.
pub(super) fn append(bench: &Bench, values: &[&str]) {
    for value in values {
        bench.broker.append(&at(0), None, Some(value));
    }
}

pub(super) fn dead(bench: &Bench) -> Vec<String> {
    let values = bench
        .broker
        .read(DEAD)
        .into_iter()
        .map(|record| record.value);
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap();
    values.map(text).collect()
}

fn header(bench: &Bench, dead: usize, name: &str) -> String {
    let headers: HashMap<_, _> = bench.broker.read(DEAD)[dead]
        .headers
        .iter()
        .cloned()
        .collect();
    let value = headers[&format!("kafka_runtime.dead_letter.{name}")].clone();
    String::from_utf8(value.unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_starts_at_once_and_an_incomplete_one_when_it_has_lingered() {
    let seen = Seen::default();
    let handler = judging(&seen).batch_size(3).linger(LINGER);
    let mut bench = Bench::start(handler).await;
    append(&bench, &["1", "2", "3", "4", "5", "6", "7"]);

    bench.rounds(2).await;
    assert_eq!(seen.all(), ["1 2 3", "4 5 6"]);
    bench.pass(Duration::from_millis(100)).await;
    append(&bench, &["8"]);
    bench.rounds(1).await;
    assert_eq!(seen.len(), 2);
    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["1 2 3", "4 5 6", "7 8"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(8));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_lingers_starts_as_soon_as_it_is_full() {
    let seen = Seen::default();
    let handler = judging(&seen).batch_size(2).linger(LONG);
    let mut bench = Bench::start(handler).await;
    append(&bench, &["1"]);
    bench.pass(A_MOMENT).await;
    assert_eq!(seen.len(), 0);

    append(&bench, &["2"]);
    bench.rounds(2).await;

    assert_eq!(seen.all(), ["1 2"]);
}

#[tokio::test(start_paused = true)]
async fn without_linger_a_batch_is_what_is_there() {
    let seen = Seen::default();
    let mut bench = Bench::start(judging(&seen)).await;
    append(&bench, &["1", "2"]);
    bench.rounds(2).await;
    append(&bench, &["3"]);

    bench.rounds(2).await;

    assert_eq!(seen.all(), ["1 2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn each_record_gets_the_verdict_that_it_was_given() {
    let seen = Seen::default();
    let mut bench = Bench::start(judging(&seen)).await;
    append(&bench, &["1", "never", "skip", "4", "bad"]);

    bench.pass(Duration::from_secs(1)).await;

    assert_eq!(seen.all(), ["1 never skip 4 bad", "bad#2", "bad#3"]);
    assert_eq!(dead(&bench), ["never", "bad"]);
    let told = |dead| {
        (
            header(&bench, dead, "class"),
            header(&bench, dead, "attempts"),
        )
    };
    assert_eq!(told(0), ("permanent".to_owned(), "1".to_owned()));
    assert_eq!(told(1), ("unclassified".to_owned(), "3".to_owned()));
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn after_an_error_each_record_is_tried_alone_and_only_the_bad_one_is_given_up() {
    let seen = Seen::default();
    let mut bench = Bench::start(all_or_nothing(&seen, || "no".into())).await;
    append(&bench, &["1", "bad", "3"]);

    bench.pass(Duration::from_secs(1)).await;

    let seen = seen.all();
    assert_eq!(seen[0], "1 bad 3");
    let mut alone = seen[1..].to_vec();
    alone.sort();
    assert_eq!(alone, ["1#2", "3#2", "bad#2", "bad#3"]);
    assert_eq!(dead(&bench), ["bad"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(3));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_many_gives_none_of_them_up() {
    let plain: MakeError = || "no".into();
    let permanent: MakeError = || PermanentError::new("no").into();
    for (retry, error) in [(Retry::NONE, plain), (quick(), permanent)] {
        let seen = Seen::default();
        let mut bench = Bench::start(all_or_nothing(&seen, error).retry(retry)).await;
        append(&bench, &["1", "bad", "3"]);

        bench.pass(Duration::from_secs(1)).await;

        assert_eq!(seen.len(), 4);
        assert_eq!(dead(&bench), ["bad"]);
        assert_eq!(bench.broker.stored(&at(0)), Some(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_timeout_are_failures_of_the_whole_batch() {
    let seen = Seen::default();
    let handler = Handler::batch(TOPIC, {
        let seen = seen.clone();
        move |batch: Batch<Text>| {
            let what = told(&batch);
            seen.push(what.as_str());
            assert!(!what.contains("at the call"), "at the call");
            async move {
                assert!(!what.contains("in the call"), "in the call");
                if what.contains("hangs") {
                    std::future::pending::<()>().await;
                }
            }
        }
    });
    let handler = handler.linger(Duration::ZERO).timeout(LINGER);
    let handler = handler.retry(Retry {
        attempts: 2,
        ..quick()
    });
    let mut bench = Bench::start(handler).await;

    for bad in ["at the call", "in the call", "hangs"] {
        append(&bench, &["good", bad]);
        bench.pass(Duration::from_secs(1)).await;
    }

    assert_eq!(dead(&bench), ["at the call", "in the call", "hangs"]);
    let class = |dead| header(&bench, dead, "class");
    assert_eq!(
        [class(0), class(1), class(2)],
        ["panic", "panic", "timeout"]
    );
    assert_eq!(seen.len(), 9);
    assert_eq!(bench.broker.stored(&at(0)), Some(6));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_given_up_alone_and_the_rest_goes_on() {
    let seen = Seen::default();
    let handler = Handler::batch(TOPIC, {
        let seen = seen.clone();
        move |batch: Batch<Option<u64>>| {
            let values: Vec<_> = batch.payloads().map(|n| format!("{n:?}")).collect();
            seen.push(values.join(" "));
            // The second of those that are in the batch.
            let mut outcome = BatchOutcome::ok();
            outcome.fail(1, PermanentError::new("no"));
            async { outcome }
        }
    });
    let mut bench = Bench::start(handler.linger(Duration::ZERO).max_payload(4)).await;
    append(&bench, &["1", "two", "12345"]);
    bench.broker.append(&at(0), None, None);
    append(&bench, &["5"]);

    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["Some(1) None Some(5)"]);
    let told = |dead| ["offset", "class", "attempts"].map(|name| header(&bench, dead, name));
    let mut letters = [0, 1, 2].map(told);
    letters.sort();
    assert_eq!(letters[0], ["1", "decode", "1"]);
    assert_eq!(letters[1], ["2", "decode", "1"]);
    assert_eq!(letters[2], ["3", "permanent", "1"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

/// A text, or a panic.
struct Fragile(Text);

impl FromRecord<'_> for Fragile {
    fn from_record(record: &Record) -> Result<Self, DecodeError> {
        let text = Text::from_record(record)?;
        assert_ne!(text.as_str(), Some("boom"));
        Ok(Self(text))
    }
}

#[tokio::test(start_paused = true)]
async fn a_decoder_that_panics_fails_its_record_alone_and_its_poll_is_over() {
    let seen = Seen::default();
    let handler = Handler::batch(TOPIC, {
        let seen = seen.clone();
        move |batch: Batch<Fragile>| {
            let values: Vec<_> = batch.payloads().filter_map(|one| one.0.as_str()).collect();
            seen.push(values.join(" "));
            std::future::ready(())
        }
    });
    let mut bench = Bench::start(handler.linger(Duration::ZERO).retry(quick())).await;
    append(&bench, &["1", "boom", "3"]);

    bench.pass(Duration::from_secs(1)).await;

    assert_eq!(seen.all(), ["1 3"]);
    assert_eq!(dead(&bench), ["boom"]);
    assert_eq!(header(&bench, 0, "class"), "panic");
    assert_eq!(bench.broker.stored(&at(0)), Some(3));
    assert!(bench.engine.polls().is_multiple_of(2));
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_that_can_be_decoded_is_no_call() {
    let seen = Seen::default();
    let handler = Handler::batch(TOPIC, {
        let seen = seen.clone();
        move |batch: Batch<u64>| {
            seen.push(batch.len().to_string());
            async {}
        }
    });
    let mut bench = Bench::start(handler.linger(Duration::ZERO).concurrency(1)).await;
    append(&bench, &["one", "two"]);
    bench.rounds(2).await;
    append(&bench, &["3"]);

    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["1"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(3));
}

#[tokio::test(start_paused = true)]
async fn too_few_verdicts_fail_the_rest_and_too_many_fail_all() {
    let handler = |seen: &Seen, verdicts: usize| {
        let seen = seen.clone();
        Handler::batch(TOPIC, move |batch: Batch<Text>| {
            seen.push(told(&batch));
            let verdicts = if batch.len() == 1 { 1 } else { verdicts };
            let outcome: BatchOutcome = (0..verdicts).map(|_| Ok::<_, BoxError>(())).collect();
            async { outcome }
        })
        .linger(Duration::ZERO)
    };
    for (verdicts, alone) in [(2, vec!["3#2"]), (4, vec!["1#2", "2#2", "3#2"])] {
        let seen = Seen::default();
        let mut bench = Bench::start(handler(&seen, verdicts)).await;
        append(&bench, &["1", "2", "3"]);

        bench.rounds(2).await;
        assert!(bench.broker.stored(&at(0)) < Some(3));
        bench.pass(A_MOMENT).await;

        let mut rest = seen.all()[1..].to_vec();
        rest.sort();
        assert_eq!(rest, alone);
        assert_eq!(bench.broker.stored(&at(0)), Some(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_for_its_running_batch_and_other_keys_fill_the_next() {
    let (seen, gate) = (Seen::default(), gate());
    let mut bench = Bench::start(gated(&seen, &gate).batch_size(3)).await;
    for (key, value) in [
        ("a", "a1"),
        ("a", "a2"),
        ("b", "b1"),
        ("a", "a3"),
        ("c", "c1"),
        ("a", "a4"),
        ("b", "b2"),
    ] {
        bench.append(key, value);
    }

    bench.rounds(2).await;
    assert_eq!(seen.all(), ["a1 a2 b1", "c1"]);
    gate.add_permits(9);
    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["a1 a2 b1", "c1", "a3 a4 b2"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_key_with_more_than_a_batch_waiting_still_has_one_batch_at_a_time() {
    let (seen, gate) = (Seen::default(), gate());
    let mut bench = Bench::start(gated(&seen, &gate).batch_size(2)).await;
    for value in ["a1", "a2", "a3", "a4", "a5"] {
        bench.append("a", value);
    }

    bench.rounds(2).await;
    assert_eq!(seen.all(), ["a1 a2"]);
    gate.add_permits(1);
    bench.rounds(2).await;
    assert_eq!(seen.all(), ["a1 a2", "a3 a4"]);
    gate.add_permits(9);
    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["a1 a2", "a3 a4", "a5"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_in_the_order_of_the_partition_whatever_waited() {
    let (seen, gate) = (Seen::default(), gate());
    let mut bench = Bench::start(gated(&seen, &gate).batch_size(2).linger(LONG)).await;
    for (key, value) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1")] {
        bench.append(key, value);
    }
    bench.rounds(2).await;
    assert_eq!(seen.all(), ["a1 b1"]);

    gate.add_permits(1);
    bench.rounds(2).await;

    assert_eq!(seen.all(), ["a1 b1", "a2 c1"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_record_holds_its_key_and_no_other() {
    let seen = Seen::default();
    let mut bench = Bench::start(judging(&seen)).await;
    for (key, value) in [("a", "bad"), ("b", "b1"), ("a", "a2")] {
        bench.append(key, value);
    }
    bench.rounds(2).await;
    for (key, value) in [("a", "a3"), ("b", "b2")] {
        bench.append(key, value);
    }
    bench.rounds(2).await;
    assert_eq!(seen.all(), ["bad b1 a2", "b2"]);

    bench.pass(Duration::from_secs(1)).await;

    assert_eq!(seen.all(), ["bad b1 a2", "b2", "bad#2", "bad#3", "a3"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn records_of_a_key_that_failed_together_are_tried_again_in_order() {
    let seen = Seen::default();
    let mut bench = Bench::start(all_or_nothing(&seen, || "no".into())).await;
    for (key, value) in [("a", "a1"), ("a", "bad"), ("a", "a3")] {
        bench.append(key, value);
    }
    bench.rounds(1).await;
    bench.append("a", "a4");

    bench.pass(Duration::from_secs(1)).await;

    assert_eq!(
        seen.all(),
        ["a1 bad a3", "a1#2", "bad#2", "bad#3", "a3#2", "a4"]
    );
    assert_eq!(bench.broker.stored(&at(0)), Some(4));
}

#[tokio::test(start_paused = true)]
async fn with_partition_order_nothing_passes_a_batch_or_a_failed_record() {
    let (seen, gate) = (Seen::default(), gate());
    let handler = gated(&seen, &gate).ordering(Ordering::Partition);
    let mut bench = Bench::start(handler.batch_size(2)).await;
    append(&bench, &["1", "2", "3"]);
    bench.rounds(2).await;
    assert_eq!(seen.all(), ["1 2"]);
    gate.add_permits(9);
    bench.rounds(2).await;
    assert_eq!(seen.all(), ["1 2", "3"]);

    let seen = Seen::default();
    let handler = all_or_nothing(&seen, || "no".into()).ordering(Ordering::Partition);
    let mut bench = Bench::start(handler.batch_size(3)).await;
    append(&bench, &["1", "bad", "3", "4", "5"]);
    bench.pass(Duration::from_secs(1)).await;

    assert_eq!(
        seen.all(),
        ["1 bad 3", "1#2", "bad#2", "bad#3", "3#2", "4 5"]
    );
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn without_order_a_failed_record_holds_nothing() {
    let seen = Seen::default();
    let handler = judging(&seen).ordering(Ordering::None);
    let mut bench = Bench::start(handler).await;
    bench.append("a", "bad");
    bench.rounds(1).await;
    bench.append("a", "a2");

    bench.rounds(2).await;

    assert_eq!(seen.all(), ["bad", "a2"]);
}

#[tokio::test(start_paused = true)]
async fn concurrency_bounds_the_running_batches() {
    let (seen, gate) = (Seen::default(), gate());
    let handler = gated(&seen, &gate).batch_size(2).concurrency(2);
    let mut bench = Bench::start(handler).await;
    append(&bench, &["1", "2", "3", "4", "5"]);

    bench.rounds(2).await;
    assert_eq!(seen.all(), ["1 2", "3 4"]);
    // What comes while it waits for its turn still goes into the next batch.
    append(&bench, &["6"]);
    bench.rounds(2).await;
    gate.add_permits(1);
    bench.rounds(2).await;

    assert_eq!(seen.all(), ["1 2", "3 4", "5 6"]);
}

#[tokio::test(start_paused = true)]
async fn the_batches_of_two_partitions_are_apart() {
    let seen = Seen::default();
    let handler = Handler::batch(TOPIC, {
        let seen = seen.clone();
        move |batch: Batch<Text>| {
            seen.push(format!("{}: {}", batch.partition(), told(&batch)));
            async {}
        }
    });
    let mut bench = Bench::start(handler).await;
    bench.broker.tell(Polled::Assigned(vec![at(1)]));
    for (partition, value) in [(0, "1"), (1, "2"), (0, "3"), (1, "4")] {
        bench.broker.append(&at(partition), None, Some(value));
    }

    bench.pass(A_MOMENT).await;

    let mut seen = seen.all();
    seen.sort();
    assert_eq!(seen, ["0: 1 3", "1: 2 4"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_past_an_unfinished_batch() {
    let (seen, gate) = (Seen::default(), gate());
    let handler = Handler::batch(TOPIC, {
        let (seen, gate) = (seen.clone(), Arc::clone(&gate));
        move |batch: Batch<Text>| {
            let gate = Arc::clone(&gate);
            seen.push(told(&batch));
            let is_slow = batch.iter().any(|record| value(record) == "slow");
            async move {
                if is_slow {
                    gate.acquire().await.unwrap().forget();
                }
            }
        }
    });
    let mut bench = Bench::start(handler.batch_size(2).linger(Duration::ZERO)).await;
    append(&bench, &["1", "2", "3", "slow", "5", "6"]);

    bench.pass(A_MOMENT).await;
    assert_eq!(seen.len(), 3);
    assert_eq!(bench.broker.stored(&at(0)), Some(2));
    gate.add_permits(1);
    bench.pass(A_MOMENT).await;

    assert_eq!(bench.broker.stored(&at(0)), Some(6));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_past_a_dead_letter_that_was_not_written() {
    let seen = Seen::default();
    let mut bench = Bench::start(judging(&seen)).await;
    let refused = Some(ProduceError::TimedOut { topic: DEAD.into() });
    bench.broker.refuse_writes(DEAD, refused);
    append(&bench, &["1", "never", "3"]);
    bench.pass(Duration::from_secs(5)).await;
    assert_eq!(bench.broker.stored(&at(0)), Some(1));

    bench.broker.refuse_writes(DEAD, None);
    bench.pass(Duration::from_secs(31)).await;

    assert_eq!(dead(&bench), ["never"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(3));
}

#[tokio::test(start_paused = true)]
async fn the_policy_stop_names_the_record_and_commits_nothing_past_it() {
    let seen = Seen::default();
    let handler = judging(&seen).on_failure(FailurePolicy::Stop);
    let mut bench = Bench::start(handler).await;
    append(&bench, &["1", "never", "3"]);

    bench.pass(Duration::from_secs(1)).await;

    assert!(bench.is_done);
    assert_eq!(bench.broker.committed(&at(0)), Some(1));
    let error = bench.failed.take().unwrap();
    assert!(
        matches!(&error, RunError::RecordFailed { record, .. } if record.offset.0 == 1),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_policy_skip_goes_on_after_the_record() {
    let seen = Seen::default();
    let handler = judging(&seen).on_failure(FailurePolicy::Skip);
    let mut bench = Bench::start(handler).await;
    bench.append("a", "never");
    bench.rounds(2).await;
    bench.append("a", "2");

    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["never", "2"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_revoke_waits_for_the_running_batch_and_starts_no_other() {
    let (seen, gate) = (Seen::default(), gate());
    let handler = gated(&seen, &gate).batch_size(2).linger(LONG);
    let mut bench = Bench::start(handler).await;
    // The third waits for its key, the fourth lingers.
    for key in ["a", "b", "a", "c"] {
        bench.append(key, key);
    }
    bench.rounds(2).await;

    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.pass(Duration::from_secs(2)).await;
    assert!(bench.broker.unassigned().is_empty());
    gate.add_permits(9);
    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["a b"]);
    assert_eq!(bench.broker.unassigned(), [at(0)]);
    assert_eq!(bench.broker.committed(&at(0)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_lies_below_a_started_record_without_lingering() {
    let (seen, gate) = (Seen::default(), gate());
    let handler = gated(&seen, &gate).batch_size(2).linger(LONG);
    let mut bench = Bench::start(handler).await;
    for (key, value) in [
        ("a", "a1"),
        ("b", "b1"),
        ("a", "a2"),
        ("c", "c1"),
        ("d", "d1"),
        ("a", "a3"),
    ] {
        bench.append(key, value);
    }
    bench.rounds(2).await;
    assert_eq!(seen.all(), ["a1 b1", "c1 d1"]);

    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.rounds(2).await;
    gate.add_permits(9);
    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["a1 b1", "c1 d1", "a2"]);
    assert_eq!(bench.broker.unassigned(), [at(0)]);
    assert_eq!(bench.broker.committed(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_revoke_does_not_wait_for_retries() {
    let seen = Seen::default();
    let handler = all_or_nothing(&seen, || "no".into()).retry(Retry {
        attempts: 9,
        initial: LONG,
        max: LONG,
    });
    let mut bench = Bench::start(handler).await;
    for (key, value) in [("a", "bad"), ("a", "a2"), ("b", "b1")] {
        bench.append(key, value);
    }
    bench.rounds(2).await;

    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.pass(A_MOMENT).await;

    assert_eq!(bench.broker.unassigned(), [at(0)]);
    assert_eq!(bench.broker.committed(&at(0)), None);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_outlives_the_drain_is_cancelled_then_dropped_and_not_committed() {
    let cancelled = Seen::default();
    let handler = Handler::batch(TOPIC, {
        let cancelled = cancelled.clone();
        move |_: Batch<Text>, cancel: CancellationToken| {
            let cancelled = cancelled.clone();
            async move {
                cancel.cancelled().await;
                cancelled.push("told");
                std::future::pending::<()>().await;
            }
        }
    });
    let mut bench = Bench::start(handler.linger(Duration::ZERO)).await;
    append(&bench, &["1", "2"]);
    bench.rounds(2).await;

    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.pass(DRAIN + Duration::from_millis(500)).await;

    assert_eq!(cancelled.all(), ["told"]);
    assert_eq!(bench.broker.unassigned(), [at(0)]);
    assert_eq!(bench.broker.committed(&at(0)), None);
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_nothing_of_a_batch_is_stored() {
    let (seen, gate) = (Seen::default(), gate());
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    append(&bench, &["1", "2"]);
    bench.rounds(2).await;

    bench.broker.tell(Polled::Lost(vec![at(0)]));
    bench.rounds(1).await;
    gate.add_permits(1);
    bench.pass(A_MOMENT).await;

    assert_eq!(bench.broker.stored(&at(0)), None);
    assert_eq!(bench.broker.committed(&at(0)), None);
    assert_eq!(gate.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_batch_that_lingers() {
    let seen = Seen::default();
    let mut bench = Bench::start(judging(&seen).linger(LONG)).await;
    append(&bench, &["1", "2"]);
    bench.rounds(2).await;

    bench.commands.send(Command::Stop).unwrap();
    bench.rounds(3).await;

    assert!(bench.is_done);
    assert_eq!(seen.len(), 0);
    assert_eq!(bench.broker.committed(&at(0)), None);
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_the_running_batch() {
    let (seen, gate) = (Seen::default(), gate());
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    append(&bench, &["1", "2"]);
    bench.rounds(2).await;

    bench.commands.send(Command::Stop).unwrap();
    bench.pass(Duration::from_secs(1)).await;
    assert!(!bench.is_done);
    gate.add_permits(1);
    bench.pass(A_MOMENT).await;

    assert!(bench.is_done);
    assert_eq!(bench.broker.committed(&at(0)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_within_the_grace_even_if_a_batch_hangs() {
    let (seen, gate) = (Seen::default(), gate());
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    append(&bench, &["1", "2"]);
    bench.rounds(2).await;

    bench.commands.send(Command::Stop).unwrap();
    bench.pass(GRACE + Duration::from_secs(1)).await;

    assert!(bench.is_done);
    assert_eq!(bench.broker.committed(&at(0)), None);
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_for_its_batch_of_an_earlier_assignment() {
    let (seen, gate) = (Seen::default(), gate());
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    bench.append("a", "1");
    bench.append("a", "2");
    bench.rounds(2).await;
    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.rounds(2).await;

    // The group went on without our answer: the partition is ours again, its batch is dropped and begins anew.
    bench.broker.tell(Polled::Assigned(vec![at(0)]));
    bench.rounds(2).await;
    assert_eq!(seen.all(), ["1 2", "1 2"]);
    gate.add_permits(1);
    bench.pass(A_MOMENT).await;

    assert_eq!(gate.available_permits(), 0);
    assert_eq!(bench.broker.stored(&at(0)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_long_chain_of_dead_letters_does_not_recurse() {
    let seen = Seen::default();
    let handler = judging(&seen)
        .ordering(Ordering::Partition)
        .breaker(Breaker::OFF);
    let budget = Budget {
        records: 100_000,
        bytes: 1 << 30,
    };
    let mut bench = Bench::joining(&handler.batch_size(2000), budget);
    bench.broker.tell(Polled::Assigned(vec![at(0)]));
    for _ in 0..2000 {
        append(&bench, &["never"]);
    }

    bench.pass(Duration::from_secs(20)).await;

    assert_eq!(bench.broker.read(DEAD).len(), 2000);
    assert_eq!(bench.broker.stored(&at(0)), Some(2000));
}
