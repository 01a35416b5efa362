//! Can I keep the imperative style of `@repo/kafka`?
//!
//! Yes: manager, consumer and producer with the same verbs, on the same engine (order per key, retries, dead letters,
//! commits of finished records only).
//!
//! ```sh
//! cargo run --example manager
//! ```
//!
//! It takes 4 s: Kafka's classic protocol waits 3 s for further members of a new group.
//!
//! ```text
//! registered: ["demo.manager.sessions"]
//! written: 2 records
//! session s-1 of user 7
//! session s-2 of user 8
//! raw record of demo.audit: {"user":7}
//! state: connected true, running true, topics ["demo.manager.sessions"]
//! disconnected: running false
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::time::Duration;

use anyhow::Context;
use kafka_runtime::{
    ClientOptions, ConnectRetry, ConsumerOptions, DatabaseEvent, Environment, KafkaManager,
    MessagePayload, ProducerOptions, Record, SubscribeOptions,
};
use serde_json::json;
use tokio::sync::mpsc;

#[derive(Debug, serde::Deserialize)]
struct Session {
    id: String,
    user_id: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let manager = KafkaManager::new(ClientOptions {
        client_id: "your-service-name".into(),
        environment: Environment::Development,
        bootstrap_servers: Some(cluster.bootstrap_servers()?), // None: the address of the environment
        ssl: false,                                            // true is the default
        retry: ConnectRetry {
            initial_retry_time: Duration::from_millis(100),
            retries: 8,
        },
        ..Default::default()
    });
    let consumer = manager.create_consumer(
        "main",
        ConsumerOptions {
            group_id: "your-service-group".into(),
            session_timeout: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(3),
            missing_topics: cluster.missing_topics(), // default: an error at start
            ..Default::default()
        },
    )?;
    let raw_consumer = manager.create_consumer(
        "raw",
        ConsumerOptions {
            group_id: "your-service-group-raw".into(),
            missing_topics: cluster.missing_topics(), // default: an error at start
            ..Default::default()
        },
    )?;
    let producer = manager.create_producer(
        "main",
        ProducerOptions {
            max_in_flight_requests: 1,
            idempotent: true,
            ..Default::default()
        },
    )?;

    consumer.connect().await?; // retries as configured, then an error that names the brokers tried
    let (handled, mut lines) = mpsc::unbounded_channel();
    let lines_of_sessions = handled.clone();
    consumer.register_handler(
        "demo.manager.sessions",
        move |event: DatabaseEvent<Session>| {
            let handled = lines_of_sessions.clone();
            async move {
                if let Some(session) = event.after() {
                    handled.send(format!(
                        "session {} of user {}",
                        session.id, session.user_id
                    ))?;
                }
                anyhow::Ok(())
            }
        },
    )?;
    // The other way: one handler for whatever is subscribed, each record as it is.
    raw_consumer.subscribe(SubscribeOptions {
        topics: vec!["demo.audit".into()],
        from_beginning: true,
    });
    let raw = raw_consumer.run(move |record: Record| {
        let handled = handled.clone();
        async move {
            let value = String::from_utf8_lossy(record.value().unwrap_or_default());
            handled.send(format!("raw record of {}: {value}", record.topic()))?;
            anyhow::Ok(())
        }
    });
    println!("registered: {:?}", consumer.registered_topics());
    tokio::try_join!(consumer.start_with_handlers(), raw)?; // return once they consume
    assert!(consumer.is_running() && consumer.has_handler("demo.manager.sessions"));

    let sessions = [("s-1", 7), ("s-2", 8)].map(|(id, user)| {
        let row = json!({ "id": id, "user_id": user });
        let event = json!({ "op": "c", "after": row }).to_string();
        MessagePayload::new(event).key(id).header("source", "auth")
    });
    let written = producer
        .send("demo.manager.sessions", sessions.into())
        .await?;
    println!("written: {} records", written.len());
    producer
        .send_json("demo.audit", "7", &json!({ "user": 7 }))
        .await?;

    for _ in 0..3 {
        println!("{}", lines.recv().await.context("no handler is left")?);
    }
    let state = consumer.state();
    println!(
        "state: connected {}, running {}, topics {:?}",
        state.is_connected, state.is_running, state.topics
    );
    let same = manager.consumer("main").context("it was created above")?;

    manager.disconnect_all().await?; // finishes what runs, commits, flushes, leaves
    println!("disconnected: running {}", same.is_running());
    Ok(())
}
