//! Handlers react to statements as they run.

use kafka_runtime::{
    Change, DatabaseEvent, Handler, Key, KeyChange, OldRow, Ordering, State, topic_handler,
};
use serde::Deserialize;
use test_support::{Pipeline, PipelineBuilder, Suite, TestResult};

use crate::service::{Seen, Service, attribute_handler};
use crate::stage::Stage;

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test(
            "handlers::every_kind_of_change_reaches_its_handler",
            every_kind,
        )
        .test(
            "handlers::an_old_row_is_whole_under_the_full_identity",
            full_identity,
        )
        .test("handlers::a_composite_key_is_typed", composite_key)
}

#[derive(Debug, Deserialize)]
struct User {
    id: i64,
    email: String,
}

#[derive(Debug, Deserialize)]
struct UserKey {
    id: i64,
}

/// Takes all that a table sends: with tombstones, and with the end of all rows, which has no key.
#[topic_handler("shop.public.users", ordering = "partition")]
async fn on_user(
    event: Option<DatabaseEvent<User>>,
    key: Key<Option<UserKey>>,
    change: KeyChange<UserKey>,
    seen: State<Seen>,
) -> anyhow::Result<()> {
    let key = key.0.map(|key| key.id);
    let line = match event.map(|event| event.change) {
        Some(Change::Create { after }) => format!("created {} {}", after.id, after.email),
        Some(Change::Read { after }) => format!("read {} {}", after.id, after.email),
        Some(Change::Update { before, after }) => {
            let has_old = before.is_some();
            format!("updated {} {}, old row: {has_old}", after.id, after.email)
        }
        Some(Change::Delete { before: Some(old) }) => {
            // Only the key is true.
            let (id, email) = (old.key::<UserKey>()?.id, old.column::<String>("email")?);
            format!("deleted {id}, made up: {email:?}")
        }
        Some(Change::Truncate) => "truncated".to_owned(),
        None => "tombstone".to_owned(),
        Some(other) => anyhow::bail!("not expected: {other:?}"),
    };
    let line = match change {
        KeyChange::From(old) => format!("{line}, was {}", old.id),
        KeyChange::To(new) => format!("{line}, is {} now", new.id),
        KeyChange::No => line,
    };
    seen.push(match key {
        Some(key) => format!("{key}: {line}"),
        None => line,
    });
    Ok(())
}

async fn every_kind(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);
        INSERT INTO users VALUES (1, 'bob@example.org')";
    let stage = Stage::set(pipeline, "shop", schema).await?;
    let service = Service::start(&stage, [attribute_handler("on_user")?]).await?;

    stage
        .sql("INSERT INTO users VALUES (7, 'ada@example.org')")
        .await?;
    service.seen.until("7: created 7 ada@example.org").await?;
    stage
        .sql(
            "UPDATE users SET email = 'ada@example.net' WHERE id = 7;
             UPDATE users SET id = 8 WHERE id = 7;
             DELETE FROM users WHERE id = 8",
        )
        .await?;
    stage.sql("TRUNCATE users").await?;

    let seen = service.seen.until("truncated").await?;
    assert_eq!(
        seen,
        [
            "1: read 1 bob@example.org",
            "7: created 7 ada@example.org",
            "7: updated 7 ada@example.net, old row: false",
            "7: deleted 7, made up: Some(\"\"), is 8 now",
            "7: tombstone, is 8 now",
            "8: created 8 ada@example.net, was 7",
            "8: deleted 8, made up: Some(\"\")",
            "8: tombstone",
            "truncated",
        ]
    );
    service.stop().await?;
    Ok(())
}

async fn on_full(event: Option<DatabaseEvent<User>>, seen: State<Seen>) -> anyhow::Result<()> {
    let Some(event) = event else {
        return Ok(());
    };
    let changed = (
        event.changed(|user| &user.id),
        event.changed(|user| &user.email),
    );
    let old = event.before().map(OldRow::parse).transpose()?;
    let new = event.after().map(|user| user.email.as_str());
    let old = old.as_ref().map(|user| user.email.as_str());
    seen.push(format!("{} {old:?} {new:?} {changed:?}", event.op().code()));
    Ok(())
}

async fn full_identity(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);
        ALTER TABLE users REPLICA IDENTITY FULL";
    let stage = Stage::set(pipeline, &Stage::any_name(), schema).await?;
    let handler = Handler::new(stage.topic("users"), on_full).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler]).await?;

    stage
        .sql(
            "INSERT INTO users VALUES (7, 'a@x');
             UPDATE users SET email = 'a@y';
             UPDATE users SET email = 'a@y';
             DELETE FROM users",
        )
        .await?;

    let seen = service
        .seen
        .until(r#"d Some("a@y") None (None, None)"#)
        .await?;
    assert_eq!(
        seen,
        [
            r#"c None Some("a@x") (None, None)"#,
            r#"u Some("a@x") Some("a@y") (Some(false), Some(true))"#,
            r#"u Some("a@y") Some("a@y") (Some(false), Some(false))"#,
            r#"d Some("a@y") None (None, None)"#,
        ]
    );
    service.stop().await?;
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
struct LineKey {
    order_id: i64,
    line: i16,
}

#[derive(Debug, Deserialize)]
struct Line {
    quantity: i32,
}

async fn on_line(
    event: DatabaseEvent<Line>,
    key: Key<LineKey>,
    change: KeyChange<LineKey>,
    seen: State<Seen>,
) {
    let LineKey { order_id, line } = key.0;
    let quantity = event.after().map(|line| line.quantity);
    let other = match change {
        KeyChange::No => String::new(),
        KeyChange::To(new) => format!(" to {}/{}", new.order_id, new.line),
        KeyChange::From(old) => format!(" from {}/{}", old.order_id, old.line),
    };
    seen.push(format!(
        "{} {order_id}/{line} {quantity:?}{other}",
        event.op().code()
    ));
}

async fn composite_key(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE lines (line smallint, order_id bigint, quantity int NOT NULL, PRIMARY KEY (order_id, line))";
    // Wrapped keys: the headers of a key change are wrapped, too.
    let stage = Stage::set_with(pipeline, &Stage::any_name(), schema, |connector| {
        connector.tombstones(false).key_schema(true).set(
            "header.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        )
    })
    .await?;
    let handler = Handler::new(stage.topic("lines"), on_line).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler]).await?;

    stage
        .sql(
            "INSERT INTO lines VALUES (1, 99, 3);
             UPDATE lines SET line = 2;
             DELETE FROM lines",
        )
        .await?;

    let seen = service.seen.until("d 99/2 None").await?;
    assert_eq!(
        seen,
        [
            "c 99/1 Some(3)",
            "d 99/1 None to 99/2",
            "c 99/2 Some(3) from 99/1",
            "d 99/2 None",
        ]
    );
    service.stop().await?;
    Ok(())
}
