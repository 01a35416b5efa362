//! How small is a service? This small; and it is complete: it commits, retries, writes dead letters, and stops cleanly.
//!
//! The only example that needs a cluster, with a topic `auth.public.users`:
//!
//! ```sh
//! KAFKA_BOOTSTRAP_SERVERS=localhost:9092 KAFKA_GROUP_ID=hello cargo run --example hello
//! ```
//!
//! Expect a table on standard error, then a line for each change of a row, until Ctrl-C or SIGTERM (`…` is a number):
//!
//! ```text
//! TOPIC              GROUP  HANDLER  ORDERING  ON FAILURE   PLACE
//! auth.public.users  hello  on_user  key       dead_letter  examples/hello.rs:…
//!
//! hello ada@example.com
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use kafka_runtime::{Change, DatabaseEvent, topic_handler};

#[derive(Debug, serde::Deserialize)]
struct User {
    id: i64,
    email: String,
}

#[topic_handler("auth.public.users")]
async fn on_user(event: DatabaseEvent<User>) -> anyhow::Result<()> {
    match event.change {
        Change::Create { after } | Change::Read { after } => println!("hello {}", after.email),
        Change::Update { before, after } => {
            println!(
                "{} changed (had an old row: {})",
                after.id,
                before.is_some()
            );
        }
        Change::Delete { .. } => println!("bye"),
        _ => {} // truncate, logical message: the enum is non_exhaustive
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    kafka_runtime::run().await?; // config from the environment, all linked handlers, until SIGTERM/SIGINT
    Ok(())
}
