//! What a next run begins with.

use std::collections::BTreeSet;

use kafka_runtime::{FailurePolicy, Ordering};
use test_support::TestResult;

use crate::handler::Calls;
use crate::stage::{Stage, committed, until};

pub(super) async fn nothing_is_handled_twice_after_a_clean_stop<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    for n in 0..20 {
        let value = if n == 10 {
            "gated".to_owned()
        } else {
            n.to_string()
        };
        stage
            .produce(stage.record(&(n % 4).to_string(), &value))
            .await?;
    }
    stage.start(calls.handler(stage.topic())).await?;
    until(stage, "what can be is finished", async |_| {
        Ok(calls.finished().len() > 10)
    })
    .await?;

    calls.open();
    stage.restart().await??;
    let value = "the last";
    stage.produce(stage.record("k", value)).await?;
    committed(stage, 0, 21).await?;
    stage.stop().await??;

    let started = calls.started();
    let distinct: BTreeSet<_> = started.iter().map(|call| call.offset).collect();
    assert_eq!(distinct.len(), 21);
    assert_eq!(started.len(), 21, "some were handled twice");
    Ok(())
}

pub(super) async fn unfinished_work_is_handled_again_after_a_stop<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    for (key, value) in [("a", "first"), ("b", "gated"), ("c", "third")] {
        stage.produce(stage.record(key, value)).await?;
    }
    stage.start(calls.handler(stage.topic())).await?;
    until(stage, "all but one are finished", async |_| {
        Ok(calls.finished().len() == 2)
    })
    .await?;

    // The grace passes, and the call is dropped.
    stage.stop().await??;
    assert_eq!(stage.committed(0).await?, Some(1));
    assert_eq!(calls.values().len(), 2);
    stage.restart().await??;
    calls.open();
    committed(stage, 0, 3).await?;

    stage.stop().await??;
    let offsets: Vec<_> = calls.started().iter().map(|call| call.offset).collect();
    assert_eq!(offsets.iter().filter(|offset| **offset == 0).count(), 1);
    assert_eq!(offsets.iter().filter(|offset| **offset == 1).count(), 2);
    assert_eq!(offsets.iter().filter(|offset| **offset == 2).count(), 2);
    Ok(())
}

pub(super) async fn after_a_policy_stop_the_next_run_begins_at_the_record<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    for value in ["first", "shut", "third"] {
        stage.produce(stage.record("k", value)).await?;
    }
    let handler = calls.handler(stage.topic()).ordering(Ordering::Partition);
    let handler = handler.retry(kafka_runtime::Retry::NONE);
    stage.start(handler.on_failure(FailurePolicy::Stop)).await?;
    until(stage, "it has ended by itself", async |stage| {
        Ok(stage.failure().await?.is_some())
    })
    .await?;

    calls.open();
    let ended = stage.restart().await?;
    assert!(ended.is_err());
    committed(stage, 0, 3).await?;
    stage.stop().await??;

    assert_eq!(calls.values(), ["first", "shut", "third"]);
    assert_eq!(calls.started().len(), 4);
    Ok(())
}
