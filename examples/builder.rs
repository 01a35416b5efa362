//! When is `kafka_runtime::run()` not enough?
//!
//! When the service makes its own configuration, registers closures, shuts down on its own signal, or wants to look
//! into the runtime while it runs: put a `Runtime` together by hand.
//!
//! ```sh
//! cargo run --example builder
//! ```
//! ```text
//! audit: order 1
//! fulfil: order 1
//! running: group builder reads demo.orders.audit, demo.orders.events
//! paused: order 2 waits, lag 1
//! fulfil: order 2
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::time::Duration;

use kafka_runtime::{
    FailurePolicy, Handler, MessagePayload, Ordering, RecordMetadata, Retry, Runtime, State,
    registered, topic_handler,
};

#[derive(serde::Deserialize)]
struct Order {
    id: u32,
}

#[derive(Clone)]
struct Warehouse(&'static str);

async fn fulfil(
    order: Order,
    warehouse: State<Warehouse>,
    _: RecordMetadata,
) -> anyhow::Result<()> {
    println!("{}: order {}", warehouse.0.0, order.id);
    Ok(())
}

#[topic_handler("demo.orders.audit")]
async fn audit(order: Order) {
    println!("audit: order {}", order.id);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let config = cluster
        .config("builder")?
        .drain_timeout(Duration::from_secs(3));

    // The options of the attribute, as methods.
    let orders = Handler::new("demo.orders.events", fulfil)
        .ordering(Ordering::Partition)
        .timeout(Duration::from_secs(5))
        .retry(Retry {
            attempts: 3,
            ..Retry::DEFAULT
        })
        .on_failure(FailurePolicy::DeadLetter);
    let runtime = Runtime::builder()
        .config(config)
        .state(Warehouse("fulfil"))
        .handlers(registered()) // the default: every #[topic_handler]
        .handler(orders)
        .build()?; // all static checks; no network yet

    let control = runtime.control();
    let producer = cluster.producer()?;
    let script = async {
        control.started().await;
        let order_1 = MessagePayload::new(r#"{"id":1}"#).key("1");
        let audited = producer
            .send_one("demo.orders.audit", order_1.clone())
            .await?;
        let fulfilled = producer.send_one("demo.orders.events", order_1).await?;
        support::done(&control, &[audited, fulfilled]).await;
        for group in control.status() {
            println!(
                "running: group {} reads {}",
                group.group_id,
                group.topics.join(", ")
            );
        }

        control.pause("demo.orders.events"); // takes effect with the next poll
        support::until(|| {
            let groups = control.status();
            let partitions = groups.iter().flat_map(|group| &group.partitions);
            partitions.filter(|p| p.is_paused).count() == 4
        })
        .await;
        let order_2 = MessagePayload::new(r#"{"id":2}"#).key("2");
        let waiting = producer.send_one("demo.orders.events", order_2).await?;
        let lag: i64 = control.lag().await?.iter().map(|(_, lag)| lag).sum();
        println!("paused: order 2 waits, lag {lag}");
        control.resume("demo.orders.events");
        support::done(&control, &[waiting]).await;
        anyhow::Ok(())
    };

    // The runtime ends when this future does; `run()` would wait for SIGTERM or SIGINT.
    let mut result = Ok(());
    runtime.run_until(async { result = script.await }).await?;
    result
}
