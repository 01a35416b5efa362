//! Members of one group.

use std::collections::BTreeSet;

use test_support::{NewRecord, TestResult};

use crate::handler::Calls;
use crate::stage::{IN_FLIGHT, PARTITIONS, Stage, committed, until};

async fn to_each<S: Stage>(stage: &mut S, value: &str) -> TestResult {
    for partition in 0..PARTITIONS {
        let record = NewRecord::to(stage.topic()).partition(partition);
        stage.produce(record.key("k").value(value)).await?;
    }
    Ok(())
}

pub(super) async fn a_second_member_takes_over_after_a_drain<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    to_each(stage, "gated").await?;
    stage.start(calls.handler_of(1, stage.topic())).await?;
    until(stage, "the first member has both", async |_| {
        Ok(calls.started().len() == 2)
    })
    .await?;

    stage.join(calls.handler_of(2, stage.topic())).await?;
    until(stage, "one of them is drained", async |stage| {
        Ok(stage.is_draining())
    })
    .await?;
    assert_eq!(calls.started().len(), 2, "what runs was handed over");
    calls.open();
    for partition in 0..PARTITIONS {
        committed(stage, partition, 1).await?;
    }
    to_each(stage, "later").await?;
    for partition in 0..PARTITIONS {
        committed(stage, partition, 2).await?;
    }
    stage.stop().await??;

    let started = calls.started();
    assert_eq!(started.len(), 4, "some were handled twice: {started:?}");
    let later: BTreeSet<_> = started[2..].iter().map(|call| call.member).collect();
    assert_eq!(later, [1, 2].into());
    Ok(())
}

/// librdkafka remembers a pause through a revoke: whoever paused it must resume it.
pub(super) async fn a_partition_that_was_full_is_read_again_when_it_comes_back<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = Calls::new();
    for n in 0..IN_FLIGHT {
        for partition in 0..PARTITIONS {
            let record = NewRecord::to(stage.topic()).partition(partition);
            let record = record.key(n.to_string()).value("gated");
            stage.produce(record).await?;
        }
    }
    // Few calls run, so a drain leaves nearly all that was received where it is.
    let handler = calls.handler_of(1, stage.topic()).concurrency(1);
    stage.start(handler).await?;
    until(stage, "both are full", async |stage| {
        Ok(stage
            .partitions()
            .iter()
            .filter(|one| one.is_paused)
            .count()
            == 2)
    })
    .await?;

    stage.join(calls.handler_of(2, stage.topic())).await?;
    let is_revoked = |event: &String| event.starts_with("Revoked");
    until(stage, "one is drained or gone", async |stage| {
        Ok(stage.is_draining() || stage.events().iter().any(is_revoked))
    })
    .await?;
    calls.open();
    let all = i64::try_from(IN_FLIGHT)?;
    for partition in 0..PARTITIONS {
        committed(stage, partition, all).await?;
    }
    assert!(calls.started().iter().any(|call| call.member == 2));
    stage.leave().await?;
    to_each(stage, "later").await?;

    for partition in 0..PARTITIONS {
        committed(stage, partition, all + 1).await?;
    }
    Ok(stage.stop().await??)
}
