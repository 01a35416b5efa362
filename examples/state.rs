//! How does a handler reach the database?
//!
//! Give the pool to the builder, take `State<Pool>` in the handler: each call gets a clone. A handler whose state
//! nobody gave is an error at start, with the handler's `file:line`, not a panic at its first record.
//!
//! ```sh
//! cargo run --example state
//! ```
//! ```text
//! without a pool: the runtime cannot start: examples/state.rs:…: on_user needs State<state::Pool>: give one with Runtime::builder().state(..)
//! 3 rows: {1: "ada@example.com", 2: "grace@example.com", 3: "edsger@example.com"}
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kafka_runtime::{MessagePayload, Runtime, State, topic_handler};

/// Stands for `sqlx::PgPool`: cheap to clone, all clones are the same pool.
#[derive(Clone, Default)]
struct Pool(Arc<Mutex<BTreeMap<i64, String>>>);

impl Pool {
    #[expect(clippy::unused_async, reason = "a real one awaits its connection")]
    async fn insert(&self, user: User) -> anyhow::Result<()> {
        let mut rows = self
            .0
            .lock()
            .map_err(|_| anyhow::anyhow!("pool is broken"))?;
        rows.insert(user.id, user.email);
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct User {
    id: i64,
    email: String,
}

/// A second state: one value of each type.
#[derive(Clone)]
struct MailDomain(&'static str);

#[topic_handler("demo.users")]
async fn on_user(user: User, pool: State<Pool>, domain: State<MailDomain>) -> anyhow::Result<()> {
    let email = format!("{}@{}", user.email, domain.0.0);
    pool.insert(User { email, ..user }).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let config = cluster.config("state")?;

    let forgotten = Runtime::builder()
        .config(config.clone())
        .state(MailDomain("example.com"))
        .build();
    if let Err(error) = forgotten {
        println!("without a pool: {error}");
    }

    let pool = Pool::default();
    let runtime = Runtime::builder()
        .config(config)
        .state(pool.clone())
        .state(MailDomain("example.com"))
        .build()?;
    let users = ["ada", "grace", "edsger"]
        .iter()
        .zip(1..)
        .map(|(name, id)| {
            let json = format!(r#"{{"id":{id},"email":"{name}"}}"#);
            ("demo.users", MessagePayload::new(json).key(id.to_string()))
        });
    cluster.run(runtime, users.collect()).await?;

    let rows = pool
        .0
        .lock()
        .map_err(|_| anyhow::anyhow!("pool is broken"))?;
    println!("{} rows: {rows:?}", rows.len());
    Ok(())
}
