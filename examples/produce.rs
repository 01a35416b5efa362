//! How do I write records?
//!
//! With a producer of the manager, or with the runtime's own inside a handler. The default is idempotent and
//! acknowledged by all in-sync replicas; every `send` says where each record is, or why it is not.
//!
//! ```sh
//! cargo run --example produce
//! ```
//! ```text
//! user-7 is in partition … at offset 0
//! user-7 is in partition … at offset 1
//! user-7 is in partition … at offset 2
//! 1 of 2 records were not written, the first because: topic demo.user.events has no partition 99
//! written to partition 3
//! not written: topic demo.user.events has no partition 99
//! invoice o-1: {"order":1}, 0 headers
//! invoice o-2: {"order":2}, 1 headers
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use anyhow::Context;
use kafka_runtime::{
    Headers, KafkaManager, KafkaProducer, Key, MessagePayload, ProducerOptions, Raw, Runtime,
    State, topic_handler,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

#[derive(Deserialize)]
struct Order {
    id: u32,
}

#[derive(Serialize)]
struct Invoice {
    order: u32,
}

/// The order is acknowledged after the invoice is: a crash between the two writes the invoice twice, never not at all.
#[topic_handler("demo.orders")]
async fn on_order(order: Order, producer: KafkaProducer) -> anyhow::Result<()> {
    let key = format!("o-{}", order.id);
    producer
        .send_json("demo.invoices", &key, &Invoice { order: order.id })
        .await?;
    Ok(())
}

#[topic_handler("demo.invoices")]
async fn on_invoice(
    invoice: Raw,
    key: Key<String>,
    headers: Headers,
    lines: State<UnboundedSender<String>>,
) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(invoice.bytes().unwrap_or_default());
    let count = headers.len();
    Ok(lines.send(format!("invoice {}: {text}, {count} headers", key.0))?)
}

/// Somebody reads the events that are written below.
#[topic_handler("demo.user.events")]
async fn on_event(_: Raw) {}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let config = cluster.config("produce")?;
    let (lines, mut invoices) = unbounded_channel::<String>();
    let runtime = Runtime::builder()
        .config(config.clone())
        .state(lines)
        .build()?;

    let manager = KafkaManager::from_config(config);
    let producer = manager.create_producer("main", ProducerOptions::default())?;
    producer.connect().await?; // not needed before the first record; it says early that no broker answers

    support::run_script(runtime, async {
        // Value: bytes or a string. Key, partition, headers and timestamp are optional; one key, one partition.
        let login = MessagePayload::new(r#"{"event":"login"}"#)
            .key("user-7")
            .header("source", "auth");
        let logout = MessagePayload::new(r#"{"event":"logout"}"#)
            .key("user-7")
            .timestamp_ms(1_700_000_000_000);
        let deleted = MessagePayload::tombstone("user-7"); // on a compacted topic it deletes the key
        let written = producer
            .send("demo.user.events", vec![login, logout, deleted])
            .await?;
        for record in &written {
            println!(
                "user-7 is in partition {} at offset {}",
                record.partition, record.offset
            );
        }

        // As JSON; waits for the acknowledgement, as every send does.
        producer
            .send_json("demo.orders", "1", &json!({ "id": 1 }))
            .await?;
        let invoice = MessagePayload::json(&Invoice { order: 2 })?
            .key("o-2")
            .header("source", "by hand");
        producer.send_one("demo.invoices", invoice).await?;

        // What failed says so by itself; the other records are written all the same.
        let good = MessagePayload::new("good").partition(3);
        let bad = MessagePayload::new("bad").partition(99);
        if let Err(error) = producer.send("demo.user.events", vec![good, bad]).await {
            println!("{error}");
            for result in error.results {
                match result {
                    Ok(record) => println!("written to partition {}", record.partition),
                    Err(error) => println!("not written: {error}"),
                }
            }
        }

        // The handler of demo.orders answers with an invoice.
        for _ in 0..2 {
            println!("{}", invoices.recv().await.context("no handler is left")?);
        }
        Ok(())
    })
    .await?;
    manager.disconnect_all().await?; // sends what is queued
    Ok(())
}
