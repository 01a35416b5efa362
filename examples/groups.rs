//! May one process be in several consumer groups?
//!
//! Yes: name the group on the handler. Each group sees every record, has its own offsets, its own retries and its own
//! dead letter topics; a failure in one does not hold up the other. Handlers without a `group` are in the runtime's.
//!
//! ```sh
//! cargo run --example groups
//! ```
//! ```text
//! search indexes 3 users
//! mailer greets 2 users; user 2 is in mailer.demo.signups.dlq
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::ensure;
use kafka_runtime::{MessagePayload, PermanentError, Runtime, State, topic_handler};

#[derive(serde::Deserialize)]
struct Signup {
    id: u32,
}

#[derive(Default)]
struct Counts {
    indexed: AtomicU32,
    greeted: AtomicU32,
}

#[topic_handler("demo.signups", group = "search", start = "earliest")]
async fn index(_: Signup, counts: State<Arc<Counts>>) {
    counts.indexed.fetch_add(1, Ordering::Relaxed);
}

// The group may come from the environment; so may topics, patterns and dead letter topics.
#[topic_handler("demo.signups", group = "${MAILER_GROUP:mailer}")]
async fn greet(signup: Signup, counts: State<Arc<Counts>>) -> anyhow::Result<()> {
    ensure!(signup.id != 2, PermanentError::new("no such mailbox"));
    counts.greeted.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let counts = Arc::new(Counts::default());
    let runtime = Runtime::builder()
        .config(cluster.config("groups")?)
        .state(Arc::clone(&counts))
        .build()?;

    let signups = (1..=3).map(|id| {
        let payload = MessagePayload::new(format!(r#"{{"id":{id}}}"#));
        ("demo.signups", payload.key(id.to_string()))
    });
    cluster.run(runtime, signups.collect()).await?;

    println!(
        "search indexes {} users",
        counts.indexed.load(Ordering::Relaxed)
    );
    let greeted = counts.greeted.load(Ordering::Relaxed);
    println!("mailer greets {greeted} users; user 2 is in mailer.demo.signups.dlq");
    Ok(())
}
