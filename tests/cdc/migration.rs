//! The schema changes in mid-stream.

use kafka_runtime::{DEAD_LETTER_HEADER_PREFIX, DatabaseEvent, Handler, Ordering, State};
use serde::Deserialize;
use test_support::{Pipeline, PipelineBuilder, Suite, TestResult};

use crate::service::{Seen, Service};
use crate::stage::{Stage, event};

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test("migration::optional_columns_come_and_go", optional_columns)
        .test(
            "migration::a_dropped_column_that_is_needed_is_named_in_a_dead_letter",
            needed_column,
        )
}

#[derive(Debug, Deserialize)]
struct User {
    id: i64,
    email: String,
    /// Gone one day.
    nick: Option<String>,
    /// Not there yet.
    city: Option<String>,
}

async fn on_user(event: DatabaseEvent<User>, seen: State<Seen>) {
    let Some(User {
        id,
        email,
        nick,
        city,
    }) = event.after()
    else {
        return;
    };
    seen.push(format!("{id} {email} {nick:?} {city:?}"));
}

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, nick text)";

async fn optional_columns(pipeline: &Pipeline) -> TestResult {
    let stage = Stage::set(pipeline, &Stage::any_name(), USERS).await?;
    let handler = Handler::new(stage.topic("users"), on_user).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler]).await?;

    for statement in [
        "INSERT INTO users VALUES (1, 'a@x', 'ada')",
        "ALTER TABLE users ADD city text",
        "INSERT INTO users VALUES (2, 'b@x', 'bob', 'Bern')",
        "ALTER TABLE users DROP nick",
        "INSERT INTO users VALUES (3, 'c@x', 'Chur')",
        // One of another type than the struct knows.
        "ALTER TABLE users ADD age int DEFAULT 7, ADD doc jsonb",
        "UPDATE users SET city = 'Basel' WHERE id = 3",
        "ALTER TABLE users RENAME city TO town",
        "UPDATE users SET email = 'd@x' WHERE id = 3",
    ] {
        stage.sql(statement).await?;
    }

    let seen = service.seen.until("3 d@x None None").await?;
    assert_eq!(
        seen,
        [
            r#"1 a@x Some("ada") None"#,
            r#"2 b@x Some("bob") Some("Bern")"#,
            r#"3 c@x None Some("Chur")"#,
            r#"3 c@x None Some("Basel")"#,
            "3 d@x None None",
        ]
    );
    service.stop().await?;
    Ok(())
}

async fn needed_column(pipeline: &Pipeline) -> TestResult {
    let stage = Stage::set(pipeline, &Stage::any_name(), USERS).await?;
    let topic = stage.topic("users");
    let handler = Handler::new(&topic, on_user).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler]).await?;

    for statement in [
        "INSERT INTO users VALUES (1, 'a@x')",
        "ALTER TABLE users DROP email",
        "INSERT INTO users VALUES (2)",
        // Another type: text where a number was.
        "ALTER TABLE users ADD email text NOT NULL DEFAULT 'none', ALTER id TYPE text",
        "INSERT INTO users VALUES ('secret-3')",
        "DELETE FROM users WHERE id = 'secret-3'",
        "ALTER TABLE users ALTER id TYPE bigint USING id::bigint",
        "INSERT INTO users VALUES (4)",
    ] {
        stage.sql(statement).await?;
    }

    let seen = service.seen.until("4 none None None").await?;
    assert_eq!(seen, ["1 a@x None None", "4 none None None"]);
    service.stop().await?;
    let letters = stage
        .topics
        .read_all(&format!("{}.{topic}.dlq", Service::group_id(&stage)))
        .await?;
    let reasons: Vec<_> = letters
        .iter()
        .filter_map(|letter| letter.header_text(&format!("{DEAD_LETTER_HEADER_PREFIX}error")))
        .collect();
    let [missing, other_type, tombstone] = reasons.as_slice() else {
        return Err(format!("{reasons:#?}").into());
    };
    assert!(
        missing.contains("`after`: missing field `email`"),
        "{missing}"
    );
    assert!(
        other_type.contains("`after.id`: invalid type: string, expected i64"),
        "{other_type}"
    );
    assert!(!other_type.contains("secret"), "{other_type}");
    // This handler takes none.
    assert!(tombstone.contains("take an `Option`"), "{tombstone}");
    // The row is all there, for a service that knows the new schema.
    assert_eq!(event(&letters[0])?["after"]["id"], 2);
    Ok(())
}
