//! `harness cdc`: a PostgreSQL with two tables whose changes are in Kafka, for as long as the command runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;
use test_support::{Database, Pipeline, PostgresConnector, StoredRecord, Topics};

use crate::interrupt::Interrupt;
use crate::progress::progress;

/// The tables, with a row that the first snapshot finds.
const SCHEMA: &str = include_str!("demo.sql");

const TOPICS: [&str; 2] = ["auth.public.users", "auth.public.orders"];

/// Statements that `--once` runs, and how many records each makes in Kafka.
const ONCE: [(&str, usize); 5] = [
    (
        "INSERT INTO users (id, email, name) VALUES (7, 'ada@example.org', 'Ada')",
        1,
    ),
    ("UPDATE users SET email = 'ada@example.net' WHERE id = 7", 1),
    (
        "INSERT INTO orders (id, user_id, total) VALUES (99, 7, 990.00)",
        1,
    ),
    ("UPDATE orders SET status = 'paid' WHERE id = 99", 1),
    ("DELETE FROM orders WHERE id = 99", 2), // and its tombstone
];

/// A change takes a fifth of a second.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Run a few statements, show their events and end
    #[arg(long)]
    once: bool,

    /// Number of partitions of the topics
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    partitions: u32,
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    progress("starting PostgreSQL, Apache Kafka and Kafka Connect with Debezium …");
    let pipeline = Pipeline::builder().tells_progress().start()?;
    let database = runtime.block_on(capture(&pipeline, args.partitions))?;

    // Before the lines that tell others that it runs: they may end it at once.
    let interrupt = Interrupt::listen(&runtime)?;

    io::stdout().write_all(exports(&pipeline, &database)?.as_bytes())?;
    let ready = format!("ready after {:.1} s", started.elapsed().as_secs_f32());
    if args.once {
        progress(&ready);
        return runtime.block_on(once(&pipeline, &database));
    }
    progress(&format!("{ready}; Ctrl-C ends it"));
    while interrupt.sleep(Duration::from_secs(1)).is_ok() {}
    progress("stopping …");
    Ok(()) // dropping the pipeline ends its parts
}

/// Creates the tables, and the connector that follows them.
async fn capture(pipeline: &Pipeline, partitions: u32) -> anyhow::Result<Database> {
    let database = pipeline.postgres().create_database("auth").await?;
    database.execute(SCHEMA).await.context("demo.sql")?;
    let connector = PostgresConnector::new("auth")
        .tables(["public.users", "public.orders"])
        .tombstones(true)
        .null_as_null()
        .partitions(partitions);
    pipeline.capture(&database, &connector).await?;
    // Both tables have a row, so both topics come to be.
    let topics = Topics::new(pipeline.kafka().bootstrap_servers())?;
    let deadline = Instant::now() + ARRIVAL_LIMIT;
    loop {
        let names: BTreeSet<String> = topics.names().await?.into_iter().collect();
        if TOPICS.iter().all(|topic| names.contains(*topic)) {
            return Ok(database);
        }
        if Instant::now() >= deadline {
            bail!("no snapshot in Kafka after {ARRIVAL_LIMIT:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns lines for a shell, what a person needs in comments.
fn exports(pipeline: &Pipeline, database: &Database) -> anyhow::Result<String> {
    let mut lines = String::new();
    let servers = pipeline.kafka().bootstrap_servers();
    writeln!(lines, "export KAFKA_BOOTSTRAP_SERVERS={servers}")?;
    writeln!(lines, "export DATABASE_URL={}", database.url())?;
    writeln!(
        lines,
        "export CONNECT_URL={}",
        pipeline.connect().rest_url()
    )?;
    writeln!(lines, "# Topics: {}", TOPICS.join(", "))?;
    writeln!(lines, "# SQL: psql \"$DATABASE_URL\"")?;
    writeln!(
        lines,
        "# Connector: curl \"$CONNECT_URL/connectors/auth/status\""
    )?;
    writeln!(
        lines,
        "# A service: KAFKA_BOOTSTRAP_SERVERS={servers} KAFKA_GROUP_ID=cdc cargo run --example cdc"
    )?;
    writeln!(
        lines,
        "# Log of Connect: {}",
        pipeline.connect().log_path().display()
    )?;
    Ok(lines)
}

async fn once(pipeline: &Pipeline, database: &Database) -> anyhow::Result<()> {
    let mut reader = Reader {
        topics: Topics::new(pipeline.kafka().bootstrap_servers())?,
        seen: BTreeMap::new(),
    };
    show("-- the rows that were there", &reader.next(2).await?)?;
    for (statement, records) in ONCE {
        database.execute(statement).await?;
        show(statement, &reader.next(records).await?)?;
    }
    Ok(())
}

/// Reads the topics as they grow.
struct Reader {
    topics: Topics,
    /// How many records of each topic have been returned.
    seen: BTreeMap<&'static str, usize>,
}

impl Reader {
    /// Waits for `count` records more, and returns them with their topics.
    async fn next(&mut self, count: usize) -> anyhow::Result<Vec<(&'static str, StoredRecord)>> {
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        let mut found = Vec::new();
        loop {
            for topic in TOPICS {
                let mut records = self.topics.read_all(topic).await?;
                records.sort_by_key(|record| (record.timestamp, record.offset));
                let seen = self.seen.entry(topic).or_default();
                for record in records.into_iter().skip(*seen) {
                    *seen += 1;
                    found.push((topic, record));
                }
            }
            if found.len() >= count {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} of {count} records arrived within {ARRIVAL_LIMIT:?}",
                    found.len()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The rows are the demo's own, so they may be shown.
fn show(statement: &str, records: &[(&'static str, StoredRecord)]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n{statement};")?;
    for (topic, record) in records {
        writeln!(out, "  {topic} {} {}", record.key_text(), summary(record)?)?;
    }
    Ok(())
}

fn summary(record: &StoredRecord) -> anyhow::Result<String> {
    let Some(value) = &record.value else {
        return Ok("tombstone".into());
    };
    let event: Value = serde_json::from_slice(value).context("an event is not JSON")?;
    let (before, after) = (&event["before"], &event["after"]);
    let op = event["op"].as_str().context("an event has no operation")?;
    Ok(format!("{op} before: {before} after: {after}"))
}
