//! Can handlers depend on the environment, or come and go while the service runs?
//!
//! `${NAME:default}` fills in topics, groups and dead letter topics at start; `enabled_if` leaves a handler out (the
//! start table shows it as off); a consumer of the manager takes and drops handlers while it runs.
//!
//! ```sh
//! cargo run --example conditional
//! ENABLE_ANALYTICS=yes ORDERS_TOPIC=demo.orders.v2 cargo run --example conditional
//! ```
//! The first command prints
//! ```text
//! billing: order 1 from demo.orders
//! registered while running: ["demo.orders"]
//! order 1 for group conditional
//! registered at the end: []
//! ```
//! the second one
//! ```text
//! billing: order 1 from demo.orders.v2
//! analytics: order 1
//! ```
//! and the rest as before.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use anyhow::Context;
use kafka_runtime::{
    ConsumerOptions, KafkaManager, MessagePayload, RecordMetadata, Runtime, Text, topic_handler,
};

#[derive(serde::Deserialize)]
struct Order {
    id: u32,
}

#[topic_handler("${ORDERS_TOPIC:demo.orders}", group = "billing")]
async fn bill(order: Order, record: RecordMetadata) {
    println!("billing: order {} from {}", order.id, record.topic());
}

#[topic_handler(
    "${ORDERS_TOPIC:demo.orders}",
    group = "analytics",
    enabled_if = "ENABLE_ANALYTICS"
)]
async fn analyse(order: Order) {
    println!("analytics: order {}", order.id);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let config = cluster.config("conditional")?;

    // At start: the environment decides.
    let topic = std::env::var("ORDERS_TOPIC").unwrap_or_else(|_| "demo.orders".into());
    let runtime = Runtime::builder().config(config.clone()).build()?;
    let order = MessagePayload::new(r#"{"id":1}"#).key("1");
    cluster.run(runtime, vec![(&topic, order)]).await?;

    // While it runs: the program decides.
    let manager = KafkaManager::from_config(config);
    let consumer = manager.create_consumer("main", ConsumerOptions::default())?;
    let (handled, mut lines) = tokio::sync::mpsc::unbounded_channel();
    consumer.register_handler("demo.heartbeat", |_: Text| async {})?;
    consumer.start_with_handlers().await?;
    consumer.register_handler(&topic, move |order: Order, record: RecordMetadata| {
        let handled = handled.clone();
        async move { handled.send(format!("order {} for group {}", order.id, record.group())) }
    })?;
    consumer.unregister_handler("demo.heartbeat");
    println!(
        "registered while running: {:?}",
        consumer.registered_topics()
    );
    println!("{}", lines.recv().await.context("no handler is left")?);
    consumer.clear_handlers();
    println!("registered at the end: {:?}", consumer.registered_topics());
    manager.disconnect_all().await?;
    Ok(())
}
