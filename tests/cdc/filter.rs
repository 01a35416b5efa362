//! Handlers that want some of the changes.

use kafka_runtime::{DatabaseEvent, Handler, Ordering, State, topic_handler};
use serde::Deserialize;
use test_support::{Pipeline, PipelineBuilder, Suite, TestResult, eventually};

use crate::service::{Seen, Service, attribute_handler};
use crate::stage::{LIMIT, Stage};

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test(
            "filter::only_the_operations_asked_for_are_handled",
            operations,
        )
        .test(
            "filter::changed_knows_under_full_and_takes_what_it_cannot_know_under_default",
            changed,
        )
}

#[derive(Debug, Deserialize)]
struct User {
    id: i64,
    email: String,
    name: Option<String>,
}

#[topic_handler(
    "filters.public.users",
    group = "filters-gone",
    ops = "d,t",
    ordering = "partition"
)]
async fn on_gone(event: Option<DatabaseEvent<User>>, seen: State<Seen>) {
    let op = event.map_or_else(|| "tombstone".to_owned(), |e| e.op().code().to_string());
    seen.push(format!("gone {op}"));
}

#[topic_handler(
    "filters.public.users",
    group = "filters-renamed",
    ops = "u",
    changed = ["email", "name"],
    ordering = "partition"
)]
async fn on_renamed(event: DatabaseEvent<User>, seen: State<Seen>) {
    let row = event.after().map(|user| (&user.email, &user.name));
    seen.push(format!("renamed {row:?}"));
}

async fn operations(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, name text, visits int NOT NULL DEFAULT 0);
        ALTER TABLE users REPLICA IDENTITY FULL";
    let stage = Stage::set(pipeline, "filters", schema).await?;
    let handlers = [
        attribute_handler("on_gone")?,
        attribute_handler("on_renamed")?,
    ];
    let service = Service::start(&stage, handlers).await?;

    stage
        .sql(
            "INSERT INTO users VALUES (7, 'a@x', NULL);
             UPDATE users SET visits = 1;
             UPDATE users SET name = 'Ada';
             UPDATE users SET email = 'a@x';
             DELETE FROM users",
        )
        .await?;
    stage.sql("TRUNCATE users").await?;

    // Seven records in each group.
    eventually(LIMIT, async || {
        service.filtered("filters-gone") == 4 && service.filtered("filters-renamed") == 6
    })
    .await?;
    service.seen.until("gone t").await?;
    let mut seen = service.stop().await?.all();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "gone d",
            "gone t",
            "gone tombstone",
            r#"renamed Some(("a@x", Some("Ada")))"#,
        ]
    );
    Ok(())
}

async fn on_user(event: DatabaseEvent<User>, seen: State<Seen>) {
    let table = &event.source.table;
    let row = event.after().map(|user| (user.id, &*user.email));
    let changed = event.changed(|user| &user.email);
    seen.push(format!("{table} {row:?} {changed:?}"));
}

async fn changed(pipeline: &Pipeline) -> TestResult {
    let columns = "(id bigint PRIMARY KEY, email text NOT NULL, name text)";
    let schema = format!(
        "CREATE TABLE known {columns}; CREATE TABLE unknown {columns};
         ALTER TABLE known REPLICA IDENTITY FULL"
    );
    let stage = Stage::set(pipeline, &Stage::any_name(), &schema).await?;
    let handler = Handler::new(stage.topic("known"), on_user)
        .topic(stage.topic("unknown"))
        .ordering(Ordering::Partition)
        .changed(["email"]);
    let service = Service::start(&stage, [handler]).await?;

    for table in ["known", "unknown"] {
        stage
            .sql(&format!(
                "INSERT INTO {table} VALUES (7, 'a@x');
                 UPDATE {table} SET name = 'Ada';
                 UPDATE {table} SET email = 'a@y';
                 INSERT INTO {table} VALUES (8, 'last')"
            ))
            .await?;
        service
            .seen
            .until(&format!(r#"{table} Some((8, "last")) None"#))
            .await?;
    }

    let seen = service.stop().await?.all();
    assert_eq!(
        seen,
        [
            r#"known Some((7, "a@x")) None"#,
            r#"known Some((7, "a@y")) Some(true)"#,
            r#"known Some((8, "last")) None"#,
            r#"unknown Some((7, "a@x")) None"#,
            // The name's; nobody can know.
            r#"unknown Some((7, "a@x")) None"#,
            r#"unknown Some((7, "a@y")) None"#,
            r#"unknown Some((8, "last")) None"#,
        ]
    );
    Ok(())
}
