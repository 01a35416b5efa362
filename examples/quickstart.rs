//! Is this for me? A whole service: three handlers, a retry, a dead letter.
//!
//! ```sh
//! cargo run --example quickstart
//! ```
//!
//! It needs nothing installed: the broker is inside the process. With `KAFKA_BOOTSTRAP_SERVERS=localhost:9092` it uses
//! that cluster, and creates the topics `demo.public.*` there.
//!
//! Expect (`…` stands for what differs from run to run, as does the order of topics and keys):
//!
//! ```text
//! TOPIC                 GROUP       HANDLER     ORDERING   ON FAILURE   PLACE
//! demo.public.orders    quickstart  on_order    partition  dead_letter  examples/quickstart.rs:…
//! demo.public.sessions  quickstart  on_session  key        dead_letter  examples/quickstart.rs:…
//! demo.public.users     quickstart  on_user     key        dead_letter  examples/quickstart.rs:…
//!
//! user 7 has a new address: ada@example.org
//! user 8 has left
//! retrying demo.public.sessions offset … (retryable: the session store is busy)
//! session 42 is stored, at attempt 2
//! order 99 needs a second look: 990.00
//! dead letter demo.public.orders offset … -> quickstart.demo.public.orders.dlq (decode: value is not JSON: expected value at line 1 column 1)
//!
//!   100  demo.public.orders
//!   100  demo.public.sessions
//!   102  demo.public.users
//! 302 handled, 1 retried, 1 dead-lettered, revenue 49500.00, in … s
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::ensure;
use kafka_runtime::{
    Change, DatabaseEvent, Event, MessagePayload, Observer, RecordMetadata, RetryableError,
    Runtime, State, topic_handler,
};
use serde_json::{Value, json};

#[derive(serde::Deserialize)]
struct User {
    id: u64,
    email: String,
}

#[topic_handler("demo.public.users")]
async fn on_user(event: DatabaseEvent<User>) {
    match event.change {
        Change::Update { after, .. } => {
            println!("user {} has a new address: {}", after.id, after.email);
        }
        Change::Delete { before: Some(row) } => {
            println!("user {} has left", row.parse().map_or(0, |user| user.id));
        }
        _ => {}
    }
}

#[derive(serde::Deserialize)]
struct Session {
    id: u64,
}

#[topic_handler("demo.public.sessions", retry(attempts = 5))]
async fn on_session(event: DatabaseEvent<Session>, record: RecordMetadata) -> anyhow::Result<()> {
    if let Some(Session { id: 42 }) = event.after() {
        let attempt = record.attempt();
        let busy = RetryableError::new("the session store is busy");
        ensure!(attempt > 1, busy);
        println!("session 42 is stored, at attempt {attempt}");
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Order {
    id: u64,
    cents: u64,
}

#[topic_handler("demo.public.orders", ordering = "partition")]
async fn on_order(event: DatabaseEvent<Order>, revenue: State<Arc<AtomicU64>>) {
    if let Change::Create { after: order } = event.change {
        let Order { id, cents } = order;
        revenue.fetch_add(cents, Ordering::Relaxed);
        if cents >= 99_000 {
            println!("order {id} needs a second look: {}", euros(cents));
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let (revenue, tally) = (Arc::new(AtomicU64::new(0)), Arc::new(Tally::default()));
    let runtime = Runtime::builder()
        .config(cluster.config("quickstart")?)
        .state(Arc::clone(&revenue))
        .observer(Arc::clone(&tally))
        .build()?;

    let start = Instant::now();
    cluster.run(runtime, changes()).await?; // a service has `runtime.run().await?` here

    let (handled, seconds) = (tally.print(), start.elapsed().as_secs_f64());
    let revenue = euros(revenue.load(Ordering::Relaxed));
    println!("{handled}, revenue {revenue}, in {seconds:.1} s");
    Ok(())
}

/// What Debezium would have sent.
fn changes() -> Vec<(&'static str, MessagePayload)> {
    let record = |topic: &'static str, id: u64, event: Value| {
        let payload = MessagePayload::new(event.to_string());
        (topic, payload.key(json!({ "id": id }).to_string()))
    };
    let mut records = Vec::new();
    for id in 0..100 {
        let user = json!({ "id": id, "email": format!("user-{id}@example.com") });
        let session = json!({ "id": id, "user_id": id });
        let order = json!({ "id": id, "cents": id * 1_000 });
        for (topic, row) in [
            ("demo.public.users", user),
            ("demo.public.sessions", session),
            ("demo.public.orders", order),
        ] {
            records.push(record(topic, id, json!({ "op": "c", "after": row })));
        }
    }
    let moved = json!({ "id": 7, "email": "ada@example.org" });
    let left = json!({ "id": 8, "email": "user-8@example.com" });
    records.push(record(
        "demo.public.users",
        7,
        json!({ "op": "u", "after": moved }),
    ));
    records.push(record(
        "demo.public.users",
        8,
        json!({ "op": "d", "before": left }),
    ));
    records.push((
        "demo.public.orders",
        MessagePayload::new("poison").key("poison"),
    ));
    records
}

/// Counts what happened, and tells what went wrong.
#[derive(Default)]
struct Tally {
    handled: Mutex<BTreeMap<String, u64>>,
    retried: AtomicU64,
    dead_lettered: AtomicU64,
}

impl Observer for Tally {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Handled { record, .. } => {
                let mut handled = self.handled.lock().unwrap_or_else(PoisonError::into_inner);
                *handled.entry(record.topic().to_owned()).or_default() += 1;
            }
            Event::Retrying {
                record, failure, ..
            } => {
                println!(
                    "retrying {} offset {} ({failure})",
                    record.topic(),
                    record.offset()
                );
                self.retried.fetch_add(1, Ordering::Relaxed);
            }
            Event::DeadLettered {
                record,
                topic,
                failure,
                ..
            } => {
                println!(
                    "dead letter {} offset {} -> {topic} ({failure})",
                    record.topic(),
                    record.offset()
                );
                self.dead_lettered.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn wants_handled(&self) -> bool {
        true
    }
}

impl Tally {
    /// Prints the count of each topic; returns the sums.
    fn print(&self) -> String {
        let handled = self.handled.lock().unwrap_or_else(PoisonError::into_inner);
        println!();
        for (topic, count) in &*handled {
            println!("{count:>5}  {topic}");
        }
        let sum: u64 = handled.values().sum();
        let retried = self.retried.load(Ordering::Relaxed);
        let dead_lettered = self.dead_lettered.load(Ordering::Relaxed);
        format!("{sum} handled, {retried} retried, {dead_lettered} dead-lettered")
    }
}

fn euros(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
