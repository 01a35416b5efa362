//! The loops that one writes by hand: over `BaseConsumer` and `StreamConsumer`.

use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message};

use super::WorkerArgs;
use super::tally::Tally;
use crate::bench::event::Envelope;
use crate::bench::work::Work;

/// At least once, and careful: nothing is stored before it is handled, what is stored is committed each second.
pub(super) fn config(args: &WorkerArgs) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &args.servers)
        .set("group.id", &args.group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "1000")
        .set("enable.auto.offset.store", "false")
        .set("partition.assignment.strategy", "cooperative-sticky");
    for (name, value) in args.properties() {
        config.set(name, value);
    }
    config
}

/// Takes messages, and decodes nothing.
pub(super) fn poll(args: &WorkerArgs, tally: &Tally) -> anyhow::Result<()> {
    let consumer: BaseConsumer = config(args).create()?;
    consumer.subscribe(&[&args.topic])?;
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message?;
            tally.add(0);
            consumer.store_offset_from_message(&message)?;
        }
    }
}

/// The loop that is the yardstick.
pub(super) fn base(args: &WorkerArgs, tally: &Tally) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let consumer: BaseConsumer = config(args).create()?;
    consumer.subscribe(&[&args.topic])?;
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message?;
            let event = decode(&message)?;
            if args.work != Work::None {
                runtime.block_on(args.work.run());
            }
            tally.event(event.after.as_ref(), event.ts_ns);
            consumer.store_offset_from_message(&message)?;
        }
    }
}

/// The same, as an async function.
#[expect(
    clippy::disallowed_methods,
    reason = "it is what others use, and is measured here"
)]
pub(super) fn stream(args: &WorkerArgs, tally: &Tally) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let consumer: StreamConsumer = config(args).create()?;
        consumer.subscribe(&[&args.topic])?;
        loop {
            let message = consumer.recv().await?;
            let event = decode(&message)?;
            args.work.run().await;
            tally.event(event.after.as_ref(), event.ts_ns);
            consumer.store_offset_from_message(&message)?;
        }
    })
}

fn decode(message: &BorrowedMessage<'_>) -> anyhow::Result<Envelope> {
    let value = message.payload().context("a value")?;
    serde_json::from_slice(value).with_context(|| {
        format!(
            "partition {}, offset {}",
            message.partition(),
            message.offset()
        )
    })
}
