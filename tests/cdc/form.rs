//! One change in the forms that connectors give it: bare, with its schema, flattened.

use kafka_runtime::{
    DatabaseEvent, FlatChange, FlatEvent, Handler, Key, Operation, Ordering, State,
};
use serde::Deserialize;
use test_support::{Deletes, Pipeline, PipelineBuilder, PostgresConnector, Suite, TestResult};

use crate::service::{Seen, Service};
use crate::stage::Stage;

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test(
            "form::bare_and_wrapped_records_reach_one_handler",
            bare_and_wrapped,
        )
        .test("form::flattened_rows_are_changes", flattened)
}

#[derive(Debug, Deserialize)]
struct User {
    id: i64,
    /// Columns that look like the fields of an envelope.
    payload: String,
    op: Option<i32>,
}

#[derive(Debug, Deserialize)]
struct UserKey {
    id: i64,
}

const USERS: &str =
    "CREATE TABLE users (id bigint PRIMARY KEY, payload text NOT NULL, op int, schema text)";

const STATEMENTS: &str = "INSERT INTO users VALUES (7, 'a', NULL, '{}');
    UPDATE users SET payload = 'b', op = 1;
    DELETE FROM users";

async fn on_user(event: Option<DatabaseEvent<User>>, key: Key<UserKey>, seen: State<Seen>) {
    let id = key.0.id;
    seen.push(match event {
        Some(event) => {
            let row = event.after().map(|user| (user.id, &*user.payload, user.op));
            format!("{} {} {id} {row:?}", event.source.name, event.op().code())
        }
        None => format!("tombstone {id}"),
    });
}

async fn bare_and_wrapped(pipeline: &Pipeline) -> TestResult {
    let stage = Stage::set(pipeline, "bare", USERS).await?;
    let wrapped = PostgresConnector::new("wrapped")
        .tombstones(false)
        .key_schema(true)
        .value_schema(true);
    pipeline.capture(&stage.database, &wrapped).await?;
    let handler = Handler::new(stage.topic("users"), on_user)
        .topic("wrapped.public.users")
        .ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler]).await?;

    stage.sql(STATEMENTS).await?;

    service.seen.until("tombstone 7").await?;
    service.seen.until("wrapped d 7 None").await?;
    let mut seen = service.stop().await?.all();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            r#"bare c 7 Some((7, "a", None))"#,
            "bare d 7 None",
            r#"bare u 7 Some((7, "b", Some(1)))"#,
            "tombstone 7",
            r#"wrapped c 7 Some((7, "a", None))"#,
            "wrapped d 7 None",
            r#"wrapped u 7 Some((7, "b", Some(1)))"#,
        ]
    );
    Ok(())
}

async fn on_row(
    event: Option<FlatEvent<User>>,
    key: Key<UserKey>,
    seen: State<Seen>,
) -> anyhow::Result<()> {
    let id = key.0.id;
    let Some(event) = event else {
        seen.push(format!("tombstone {id}"));
        return Ok(());
    };
    let op = event.op().map(Operation::code);
    seen.push(match &event.change {
        FlatChange::Upsert { row } => format!("{op:?} {} {} {:?}", row.id, row.payload, row.op),
        FlatChange::Delete { row } => format!("{op:?} {}", row.key::<UserKey>()?.id),
    });
    Ok(())
}

async fn flattened(pipeline: &Pipeline) -> TestResult {
    let stage = Stage::set_with(pipeline, "flat", USERS, |connector| {
        connector.flattened(Deletes::RewriteWithTombstone)
    })
    .await?;
    // Deletes are nothing but tombstones.
    let default = PostgresConnector::new("flat_default")
        .tombstones(true)
        .flattened(Deletes::Tombstone);
    pipeline.capture(&stage.database, &default).await?;
    let handlers = [
        Handler::new(stage.topic("users"), on_row).with_name("rewritten"),
        Handler::new("flat_default.public.users", on_row)
            .with_name("default")
            .group("flat-default"),
    ];
    let handlers = handlers.map(|handler| handler.ordering(Ordering::Partition));
    let service = Service::start(&stage, handlers).await?;

    stage.sql(STATEMENTS).await?;
    stage.sql("INSERT INTO users VALUES (8, 'last')").await?;

    let expected = [
        "Some('c') 7 a None",
        "Some('c') 7 a None",
        "Some('c') 8 last None",
        "Some('c') 8 last None",
        "Some('d') 7",
        "Some('u') 7 b Some(1)",
        "Some('u') 7 b Some(1)",
        "tombstone 7",
        "tombstone 7",
    ];
    let count = expected.len();
    service.seen.count(count).await?;
    let mut seen = service.stop().await?.all();
    seen.sort_unstable();
    assert_eq!(seen, expected);
    Ok(())
}
