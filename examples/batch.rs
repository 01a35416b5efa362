//! Can a handler take many records at once?
//!
//! Yes: one call for up to `max` records of a partition, for one insert with many rows, or one request to a search index.
//!
//! | the handler returns, or does | then |
//! |---|---|
//! | `BatchOutcome`: a verdict for each record | a record that failed is tried again alone, the others are done |
//! | an error, a panic, a `timeout` | each record is tried again alone: one poison record does not take the others with it |
//!
//! A record that cannot be decoded never reaches the handler; the rest of its batch does.
//!
//! ```sh
//! cargo run --example batch
//! ```
//! ```text
//! demo.users: indexed 3 of 4 users, attempt 1
//! demo.users: indexed 1 of 1 users, attempt 2
//! demo.rows: inserted 0 of 3 rows, attempt 1
//! demo.rows: inserted 1 of 1 rows, attempt 2
//! demo.rows: inserted 0 of 1 rows, attempt 2
//! dead letter: not JSON because decode, attempts 1
//! dead letter: {"id":2} because unclassified, attempts 2
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use anyhow::{Context, ensure};
use kafka_runtime::{
    Batch, BatchOutcome, DEAD_LETTER_HEADER_PREFIX, Headers, MessagePayload, Runtime, State, Text,
    topic_handler,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

#[derive(serde::Deserialize)]
struct User {
    id: u32,
}

/// A search index says which documents it did not take.
#[topic_handler(
    "demo.users",
    batch(max = 5, linger = "10s"), // as many as are written below; the defaults are 500 and 50 ms
    retry(attempts = 2, initial = "10ms")
)]
async fn on_users(batch: Batch<User>) -> BatchOutcome {
    let mut outcome = BatchOutcome::ok();
    let mut indexed = batch.len();
    for (index, user) in batch.iter().enumerate() {
        if user.id == 3 && user.attempt() == 1 {
            outcome.fail(index, "the shard of this document is busy");
            indexed -= 1;
        }
    }
    println!(
        "{}: indexed {indexed} of {} users, attempt {}",
        batch.topic(),
        batch.len(),
        batch[0].attempt()
    );
    outcome
}

/// An insert fails as a whole, and does not say which row was the cause.
#[topic_handler(
    "demo.rows",
    batch(max = 3, linger = "10s"),
    retry(attempts = 2, initial = "10ms")
)]
async fn on_rows(batch: Batch<User>) -> anyhow::Result<()> {
    let is_legal = batch.payloads().all(|row| row.id != 2);
    println!(
        "{}: inserted {} of {} rows, attempt {}",
        batch.topic(),
        if is_legal { batch.len() } else { 0 },
        batch.len(),
        batch[0].attempt()
    );
    ensure!(is_legal, "a row violates a constraint");
    Ok(())
}

#[topic_handler(
    "${KAFKA_GROUP_ID:batch}.demo.users.dlq",
    "${KAFKA_GROUP_ID:batch}.demo.rows.dlq",
    group = "batch.operator"
)]
async fn on_dead_letter(
    value: Text,
    headers: Headers,
    lines: State<UnboundedSender<String>>,
) -> anyhow::Result<()> {
    let header = |name: &str| {
        let value = headers.get(&format!("{DEAD_LETTER_HEADER_PREFIX}{name}"));
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let (class, attempts) = (header("class"), header("attempts"));
    let value = value.into_string().unwrap_or_default();
    lines.send(format!("{value} because {class}, attempts {attempts}"))?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let (lines, mut dead_letters) = unbounded_channel::<String>();
    let runtime = Runtime::builder()
        .config(cluster.config("batch")?)
        .state(lines)
        .build()?;

    // A batch is of one partition.
    let record = |value: String| MessagePayload::new(value).partition(0);
    let user = |id: u32| record(format!(r#"{{"id":{id}}}"#));
    let mut records: Vec<_> = (1..=4).map(|id| ("demo.users", user(id))).collect();
    records.insert(1, ("demo.users", record("not JSON".to_owned())));
    records.extend((1..=3).map(|id| ("demo.rows", user(id))));

    let (control, producer) = (runtime.control(), cluster.producer()?);
    support::run_script(runtime, async {
        let written = support::send(&producer, records).await?;
        support::done(&control, &written).await;
        for _ in 0..2 {
            let line = dead_letters.recv().await.context("no handler is left")?;
            println!("dead letter: {line}");
        }
        Ok(())
    })
    .await
}
