//! What carries the changes ends and starts again.

use std::collections::BTreeSet;

use test_support::{Pipeline, PipelineBuilder, Suite, TestResult, eventually};

use crate::stage::{LIMIT, Stage, event};

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test("restart::a_killed_worker_loses_no_row", killed_worker)
        .test(
            "restart::a_restarted_connector_goes_on",
            restarted_connector,
        )
}

const ROWS: usize = 1000;

async fn killed_worker(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE numbers (n int PRIMARY KEY)";
    let stage = Stage::set(pipeline, &Stage::any_name(), schema).await?;
    stage
        .sql("INSERT INTO numbers SELECT generate_series(1, 500)")
        .await?;
    stage.records("numbers", 1).await?;

    stage
        .sql("INSERT INTO numbers SELECT generate_series(501, 750)")
        .await?;
    stage.pipeline.connect().kill();
    stage
        .sql("INSERT INTO numbers SELECT generate_series(751, 1000)")
        .await?;
    stage.restart_connect().await?;

    // There may be duplicates.
    eventually(LIMIT, async || {
        numbers(&stage)
            .await
            .is_ok_and(|numbers| numbers.len() == ROWS)
    })
    .await?;
    Ok(())
}

async fn restarted_connector(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE numbers (n int PRIMARY KEY)";
    let stage = Stage::set(pipeline, &Stage::any_name(), schema).await?;
    stage.sql("INSERT INTO numbers VALUES (1)").await?;
    stage.records("numbers", 1).await?;

    let connect = pipeline.connect();
    connect.restart_connector(stage.connector.prefix())?;
    stage.sql("INSERT INTO numbers VALUES (2)").await?;

    stage.records("numbers", 2).await?;
    assert_eq!(numbers(&stage).await?, BTreeSet::from([1, 2]));
    connect.delete_connector(stage.connector.prefix())?;
    Ok(())
}

async fn numbers(stage: &Stage<'_>) -> Result<BTreeSet<i64>, crate::stage::BoxError> {
    let records = stage.records("numbers", 1).await?;
    let numbers = records.iter().filter_map(|record| {
        let event = event(record).ok()?;
        event["after"]["n"].as_i64()
    });
    Ok(numbers.collect())
}
