//! Statements arrive as records.

use test_support::{Pipeline, PipelineBuilder, Suite, TestResult};

use crate::stage::{Stage, event, operations};

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test(
            "arrival::every_change_of_a_row_is_a_record_in_order",
            in_order,
        )
        .test("arrival::what_was_there_is_read_first", snapshot)
        .test("arrival::settings_reach_the_connector", settings)
}

const USERS: &str = "CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL)";

async fn in_order(pipeline: &Pipeline) -> TestResult {
    let stage = Stage::set(pipeline, &Stage::any_name(), USERS).await?;

    stage
        .sql("INSERT INTO users VALUES (7, 'ada@example.org')")
        .await?;
    stage
        .sql("UPDATE users SET email = 'ada@example.net'")
        .await?;
    stage.sql("DELETE FROM users").await?;

    let records = stage.records("users", 4).await?;
    assert_eq!(operations(&records)?, ["c", "u", "d", "tombstone"]);
    assert!(
        records
            .iter()
            .all(|record| record.key_text() == r#"{"id":7}"#)
    );
    assert_eq!(event(&records[1])?["after"]["email"], "ada@example.net");
    Ok(())
}

async fn snapshot(pipeline: &Pipeline) -> TestResult {
    let schema = format!("{USERS}; INSERT INTO users VALUES (1, 'bob@example.org')");
    let stage = Stage::set(pipeline, &Stage::any_name(), &schema).await?;

    stage
        .sql("INSERT INTO users VALUES (2, 'cy@example.org')")
        .await?;

    let records = stage.records("users", 2).await?;
    assert_eq!(operations(&records)?, ["r", "c"]);
    Ok(())
}

async fn settings(pipeline: &Pipeline) -> TestResult {
    let name = Stage::any_name();
    let stage = Stage::set_with(pipeline, &name, USERS, |connector| {
        connector.tombstones(false).value_schema(true).partitions(3)
    })
    .await?;

    stage
        .sql("INSERT INTO users VALUES (7, 'ada@example.org')")
        .await?;
    stage.sql("DELETE FROM users").await?;
    stage
        .sql("INSERT INTO users VALUES (7, 'ada@example.org')")
        .await?;

    let records = stage.records("users", 3).await?;
    let payloads: Vec<_> = records
        .iter()
        .map(|record| Ok(event(record)?["payload"]["op"].clone()))
        .collect::<TestResultOf<_>>()?;
    assert_eq!(payloads, ["c", "d", "c"]);
    let partitions = stage.topics.describe(&stage.topic("users")).await?;
    assert_eq!(partitions.map(|all| all.len()), Some(3));
    Ok(())
}

type TestResultOf<T> = Result<T, crate::stage::BoxError>;
