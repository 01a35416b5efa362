//! What becomes of a batch's failed records besides retries and dead letters: order, the breaker, retry topics.

use std::collections::HashSet;
use std::time::Duration;

use super::tests::{A_MOMENT, all_or_nothing, append, dead, judging, told, value};
use crate::engine::tests::{Bench, DEAD, Seen, TOPIC, at};
use crate::producer::ProduceError;
use crate::{Batch, BatchOutcome, Breaker, FailurePolicy, Handler, Retry, Text};

const CLOSE: Duration = Duration::from_millis(1100);

fn breaker(records: u32) -> Breaker {
    Breaker {
        ratio: 0.5,
        records,
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_for_the_dead_letter_of_what_cannot_be_decoded() {
    let seen = Seen::default();
    let handler = Handler::batch(TOPIC, {
        let seen = seen.clone();
        move |batch: Batch<u64>| {
            let values: Vec<_> = batch.payloads().map(u64::to_string).collect();
            seen.push(values.join(" "));
            async {}
        }
    });
    let mut bench = Bench::start(handler.linger(Duration::ZERO)).await;
    let refused = ProduceError::TimedOut { topic: DEAD.into() };
    bench.broker.refuse_writes(DEAD, Some(refused));
    for (key, value) in [("a", "1"), ("a", "two"), ("b", "3"), ("a", "4"), ("a", "5")] {
        bench.append(key, value);
    }

    bench.pass(A_MOMENT).await;
    assert_eq!(seen.all(), ["1 3"]);
    bench.broker.refuse_writes(DEAD, None);
    bench.pass(Duration::from_mins(1)).await;

    assert_eq!(dead(&bench), ["two"]);
    assert_eq!(seen.all(), ["1 3", "4 5"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn the_breaker_counts_each_verdict_and_lets_one_record_through() {
    let seen = Seen::default();
    let handler = judging(&seen)
        .on_failure(FailurePolicy::Skip)
        .breaker(breaker(3));
    let mut bench = Bench::start(handler).await;
    for value in ["1", "never 2", "never 3", "never 4"] {
        bench.append("a", value);
    }
    bench.rounds(2).await;
    for (key, value) in [("a", "5"), ("a", "6"), ("b", "7")] {
        bench.append(key, value);
    }

    bench.pass(A_MOMENT).await;
    assert_eq!(seen.len(), 1);
    bench.pass(CLOSE).await;

    // The first of the batch that waited decides, and the key's next one waits for it.
    assert_eq!(seen.all()[1..], ["5", "6 7"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_record_behind_a_good_one_that_waited_is_behind_no_failure() {
    let seen = Seen::default();
    let handler = judging(&seen).batch_size(1).breaker(breaker(3));
    let mut bench = Bench::start(handler).await;
    for value in ["never 1", "2", "never 3", "4"] {
        bench.append("a", value);
    }

    bench.pass(A_MOMENT).await;

    // The last failure counts for its key, so the breaker opens.
    assert_eq!(seen.all(), ["never 1", "2", "never 3"]);
    bench.pass(CLOSE).await;
    assert_eq!(seen.all()[3..], ["4"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_as_a_whole_does_not_open_the_breaker_for_one_bad_record() {
    let seen = Seen::default();
    let handler = all_or_nothing(&seen, || "no".into()).breaker(breaker(3));
    let mut bench = Bench::start(handler.retry(Retry::NONE)).await;
    append(&bench, &["1", "2", "bad", "4"]);
    bench.pass(A_MOMENT).await;
    append(&bench, &["5"]);

    bench.pass(A_MOMENT).await;

    assert_eq!(seen.len(), 6);
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_every_batch_as_a_whole_opens_the_breaker() {
    let seen = Seen::default();
    let handler = all_or_nothing(&seen, || "no".into()).breaker(breaker(3));
    let mut bench = Bench::start(handler).await;
    append(&bench, &["bad", "bad", "bad", "bad"]);
    bench.pass(A_MOMENT).await;
    let calls = seen.len();
    append(&bench, &["5"]);

    bench.pass(A_MOMENT).await;

    assert_eq!(seen.len(), calls);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_parked_and_its_key_follows_in_order() {
    let seen = Seen::default();
    let seen_too = seen.clone();
    let handler = Handler::batch(TOPIC, move |batch: Batch<Text>| {
        seen_too.push(told(&batch));
        // From the first bad record of a key on, its records fail, until the third attempt.
        let mut outcome = BatchOutcome::ok();
        let mut bad = HashSet::new();
        for (index, record) in batch.iter().enumerate() {
            let is_bad = value(record).starts_with("bad") && record.attempt() < 3;
            if is_bad || bad.contains(&record.key()) {
                bad.insert(record.key());
                outcome.fail(index, "no");
            }
        }
        async { outcome }
    });
    let waits = [Duration::from_secs(10), Duration::from_secs(20)];
    let handler = handler
        .linger(Duration::ZERO)
        .retry(Retry::NONE)
        .retry_topics(waits);
    let mut bench = Bench::start(handler).await;
    for (key, value) in [("a", "1"), ("a", "bad"), ("b", "2"), ("a", "3")] {
        bench.append(key, value);
    }
    bench.pass(A_MOMENT).await;
    bench.append("a", "4");
    bench.append("b", "5");

    bench.pass(A_MOMENT).await;
    assert_eq!(seen.all(), ["1 bad 2 3", "5"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(6));
    bench.pass(Duration::from_secs(45)).await;

    // It is tried with those that were parked behind it, in its first retry topic and in its second.
    assert_eq!(seen.all()[2..], ["bad#2 3#2 4", "bad#3 3#3 4#2"]);
    assert_eq!(dead(&bench), Vec::<String>::new());
}
