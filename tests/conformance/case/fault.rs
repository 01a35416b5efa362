//! Brokers that refuse or do not answer, request by request.

use test_support::TestResult;

use crate::handler::Calls;
use crate::stage::{Fault, Stage, committed, dead_letters, stays, until};

/// Starts a runtime that has handled and committed a record.
async fn at_work<S: Stage>(stage: &mut S) -> Result<Calls, crate::stage::BoxError> {
    let calls = Calls::new();
    stage.produce(stage.record("k", "first")).await?;
    stage.start(calls.handler(stage.topic())).await?;
    committed(stage, 0, 1).await?;
    Ok(calls)
}

pub(super) async fn a_commit_that_fails_is_repeated<S: Stage>(stage: &mut S) -> TestResult {
    let calls = at_work(stage).await?;
    stage.fail(Fault::Commit).await?;
    for value in ["second", "third"] {
        stage.produce(stage.record("k", value)).await?;
    }

    until(stage, "they are handled", async |_| {
        Ok(calls.finished().len() == 3)
    })
    .await?;
    stays(stage, "nothing more is committed", async |stage| {
        Ok(stage.committed(0).await? == Some(1))
    })
    .await?;
    stage.heal(Fault::Commit).await?;
    committed(stage, 0, 3).await?;

    stage.stop().await??;
    assert_eq!(calls.values(), ["first", "second", "third"]);
    Ok(())
}

pub(super) async fn a_member_that_was_expelled_begins_again_at_the_commit<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = at_work(stage).await?;
    stage.fail(Fault::Membership).await?;
    stage.produce(stage.record("k", "second")).await?;
    until(stage, "its doubt or its loss is told", async |stage| {
        let tells = |event: &String| event.starts_with("Fenced") || event.starts_with("Lost");
        Ok(stage.events().iter().any(tells))
    })
    .await?;
    stage.heal(Fault::Membership).await?;
    stage.produce(stage.record("k", "third")).await?;

    committed(stage, 0, 3).await?;

    stage.stop().await??;
    // What was not committed may be handled again, in order.
    let mut values = calls.values();
    values.dedup();
    assert_eq!(values, ["first", "second", "third"]);
    Ok(())
}

pub(super) async fn fetches_that_fail_are_repeated<S: Stage>(stage: &mut S) -> TestResult {
    let calls = at_work(stage).await?;
    stage.fail(Fault::Fetch).await?;
    // What was asked before may still be answered.
    stage.produce(stage.record("k", "second")).await?;
    stage.pass(std::time::Duration::from_millis(100)).await;
    stage.produce(stage.record("k", "third")).await?;

    stays(stage, "it is not there", async |_| {
        Ok(!calls.values().contains(&"third".to_owned()))
    })
    .await?;
    stage.heal(Fault::Fetch).await?;
    committed(stage, 0, 3).await?;

    stage.stop().await??;
    assert_eq!(calls.values(), ["first", "second", "third"]);
    Ok(())
}

pub(super) async fn a_join_that_fails_is_repeated<S: Stage>(stage: &mut S) -> TestResult {
    start_waits(stage, Fault::Join).await
}

pub(super) async fn a_beginning_that_cannot_be_told_is_asked_for_again<S: Stage>(
    stage: &mut S,
) -> TestResult {
    start_waits(stage, Fault::ListOffsets).await
}

/// Nothing is handled before the broker gives the answer that a start needs.
async fn start_waits<S: Stage>(stage: &mut S, fault: Fault) -> TestResult {
    let calls = Calls::new();
    stage.produce(stage.record("k", "first")).await?;
    stage.fail(fault).await?;
    stage.start(calls.handler(stage.topic())).await?;

    stays(stage, "nothing is handled", async |_| {
        Ok(calls.started().is_empty())
    })
    .await?;
    stage.heal(fault).await?;
    committed(stage, 0, 1).await?;

    stage.stop().await??;
    assert_eq!(calls.values(), ["first"]);
    Ok(())
}

pub(super) async fn offsets_that_cannot_be_fetched_are_asked_for_again<S: Stage>(
    stage: &mut S,
) -> TestResult {
    let calls = at_work(stage).await?;
    stage.stop().await??;
    stage.produce(stage.record("k", "second")).await?;
    stage.fail(Fault::OffsetFetch).await?;
    stage.restart().await??;

    // Not even from the beginning: nobody knows that there is no commit.
    stays(stage, "nothing is handled", async |_| {
        Ok(calls.started().len() == 1)
    })
    .await?;
    stage.heal(Fault::OffsetFetch).await?;
    committed(stage, 0, 2).await?;

    stage.stop().await??;
    assert_eq!(calls.values(), ["first", "second"]);
    Ok(())
}

pub(super) async fn a_dead_letter_that_fails_for_now_is_written_later<S: Stage>(
    stage: &mut S,
) -> TestResult {
    dead_letter_waits(stage, Fault::Write).await
}

pub(super) async fn a_record_is_finished_only_when_its_dead_letter_is_acknowledged<S: Stage>(
    stage: &mut S,
) -> TestResult {
    dead_letter_waits(stage, Fault::Permission).await
}

/// While a dead letter cannot be written, its record is not finished; other keys go on.
async fn dead_letter_waits<S: Stage>(stage: &mut S, fault: Fault) -> TestResult {
    let calls = at_work(stage).await?;
    for (key, value) in [("a", "gated permanent"), ("b", "other")] {
        stage.produce(stage.record(key, value)).await?;
    }
    stage.fail(fault).await?;
    calls.open();
    until(stage, "the other key is handled", async |_| {
        Ok(calls.values().contains(&"other".to_owned()))
    })
    .await?;
    stays(stage, "nothing is given up", async |stage| {
        let is_uncommitted = stage.committed(0).await? == Some(1);
        Ok(is_uncommitted && stage.records(&stage.dead_letter_topic()).await?.is_empty())
    })
    .await?;

    stage.heal(fault).await?;
    let letters = dead_letters(stage, 1).await?;
    committed(stage, 0, 3).await?;
    stage.stop().await??;
    assert_eq!(letters.len(), 1);
    Ok(())
}
