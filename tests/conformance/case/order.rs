//! What is handled, in which order, and what is committed of it.

use test_support::{NewRecord, TestResult};

use crate::handler::Calls;
use crate::stage::{Stage, committed, until};

pub(super) async fn a_record_is_handled_once_and_committed<S: Stage>(stage: &mut S) -> TestResult {
    let calls = Calls::new();
    for value in ["one", "two", "three"] {
        stage.produce(stage.record(value, value)).await?;
    }
    stage.start(calls.handler(stage.topic())).await?;

    committed(stage, 0, 3).await?;

    stage.stop().await??;
    let mut attempts = calls.attempts();
    attempts.sort();
    let expected = ["one", "three", "two"].map(|value| (value.to_owned(), 1));
    assert_eq!(attempts, expected);
    assert_eq!(stage.committed(0).await?, Some(3));
    assert_eq!(stage.committed(1).await?, None);
    Ok(())
}

pub(super) async fn records_of_one_key_are_handled_one_at_a_time_and_in_order<S: Stage>(
    stage: &mut S,
) -> TestResult {
    const KEYS: i64 = 4;
    const COUNT: i64 = 80;
    let calls = Calls::new();
    for n in 0..COUNT {
        let record = stage.record(&(n % KEYS).to_string(), &n.to_string());
        stage.produce(record).await?;
    }
    let handler = calls.handler(stage.topic()).concurrency(8);
    stage.start(handler).await?;

    committed(stage, 0, COUNT).await?;

    stage.stop().await??;
    assert_eq!(calls.most_of_a_key(), 1);
    for key in 0..KEYS {
        let of_key = calls.finished().into_iter();
        let of_key = of_key.filter(|call| call.key == Some(key.to_string()));
        let offsets: Vec<_> = of_key.map(|call| call.offset).collect();
        let expected: Vec<_> = (0..COUNT).filter(|n| n % KEYS == key).collect();
        assert_eq!(offsets, expected);
    }
    Ok(())
}

pub(super) async fn a_record_that_runs_holds_the_commit_back<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    for value in ["first", "gated", "third", "fourth"] {
        stage.produce(stage.record(value, value)).await?;
    }
    stage.start(calls.handler(stage.topic())).await?;
    until(stage, "all but one are finished", async |_| {
        Ok(calls.finished().len() == 3)
    })
    .await?;
    committed(stage, 0, 1).await?;

    // All partitions are committed together: one more commit passes without what is behind the gap.
    let elsewhere = NewRecord::to(stage.topic()).partition(1).value("elsewhere");
    stage.produce(elsewhere).await?;
    committed(stage, 1, 1).await?;
    assert_eq!(stage.committed(0).await?, Some(1));

    calls.open();
    committed(stage, 0, 4).await?;
    assert_eq!(calls.started().len(), 5);
    Ok(stage.stop().await??)
}

pub(super) async fn records_without_a_key_do_not_wait_for_each_other<S: Stage>(
    stage: &mut S,
) -> TestResult {
    const COUNT: usize = 20;
    let calls = Calls::new();
    // More than there are lanes: some share one with the first.
    for n in 0..COUNT {
        let value = if n == 0 { "gated" } else { "later" };
        let record = NewRecord::to(stage.topic()).partition(0).value(value);
        stage.produce(record).await?;
    }
    stage.start(calls.handler(stage.topic())).await?;

    until(stage, "the later ones are finished", async |_| {
        Ok(calls.finished().len() == COUNT - 1)
    })
    .await?;
    assert!(calls.started().iter().all(|call| call.key.is_none()));
    assert!(calls.most() > 1);

    calls.open();
    committed(stage, 0, i64::try_from(COUNT)?).await?;
    Ok(stage.stop().await??)
}

pub(super) async fn a_tombstone_is_no_empty_value<S: Stage>(stage: &mut S) -> TestResult {
    let calls = Calls::new();
    let empty = stage.record("k", "");
    let tombstone = NewRecord::to(stage.topic()).partition(0).key("k");
    stage.produce(empty).await?;
    stage.produce(tombstone).await?;
    stage.start(calls.handler(stage.topic())).await?;

    committed(stage, 0, 2).await?;

    let values: Vec<_> = calls
        .finished()
        .into_iter()
        .map(|call| call.value)
        .collect();
    assert_eq!(values, [Some(String::new()), None]);
    Ok(stage.stop().await??)
}
