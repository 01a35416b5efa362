//! How do dead letters get back to their handler, once it is mended?
//!
//! Look, decide, put back. Here by the library, as an admin endpoint of a service would; operators have the same as a
//! command, `kafka-runtime redrive` (docs/OPERATIONS.md).
//!
//! ```sh
//! cargo run --example redrive
//! ```
//! ```text
//! invoice 1 is paid
//! look: 2 of billing.demo.invoices.dlq would be put back, 0 refused
//!   2 from demo.invoices: permanent, on_invoice
//! mended
//! invoice 2 is paid, after 1 redrive
//! try one: 1 put back
//! invoice 3 is paid, after 1 redrive
//! the rest: 1 put back
//! again: 0 put back
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::ensure;
use kafka_runtime::redrive::{COUNT_HEADER, Redrive};
use kafka_runtime::{
    Headers, MessagePayload, PermanentError, Runtime, State, registered, topic_handler,
};

/// The bank that the handler asks.
#[derive(Default)]
struct Bank {
    is_open: AtomicBool,
    paid: AtomicUsize,
}

#[topic_handler("demo.invoices")]
async fn on_invoice(number: u32, headers: Headers, bank: State<Arc<Bank>>) -> anyhow::Result<()> {
    let is_open = number == 1 || bank.is_open.load(Ordering::Relaxed);
    ensure!(is_open, PermanentError::new("the bank is closed"));
    match headers.get(COUNT_HEADER) {
        None => println!("invoice {number} is paid"),
        Some(count) => println!(
            "invoice {number} is paid, after {} redrive",
            String::from_utf8_lossy(count)
        ),
    }
    bank.paid.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let config = cluster.config("billing")?;
    let dead_letters = format!("{}.demo.invoices.dlq", config.require_group_id()?);
    let bank = Arc::new(Bank::default());
    let runtime = Runtime::builder()
        .config(config.clone())
        .handlers(registered())
        .state(Arc::clone(&bank))
        .build()?;

    let (control, producer) = (runtime.control(), cluster.producer()?);
    let paid = |count| {
        let bank = &bank;
        support::until(move || bank.paid.load(Ordering::Relaxed) == count)
    };
    let redrive = || Redrive::new(dead_letters.as_str()).config(config.clone());
    support::run_script(runtime, async {
        // One key, so that they are in one partition, and in order.
        let invoices = (1..=3).map(|n| MessagePayload::new(n.to_string()).key("customer-7"));
        let invoices = invoices.map(|invoice| ("demo.invoices", invoice));
        let written = support::send(&producer, invoices.collect()).await?;
        support::done(&control, &written).await;

        let look = redrive().dry_run(true).run().await?;
        let (topic, refused) = (&look.dead_letter_topic, look.refused);
        println!(
            "look: {} of {topic} would be put back, {refused} refused",
            look.put_back
        );
        for kind in &look.kinds {
            let (from, handler) = (kind.origin.as_deref(), kind.handler.as_deref());
            println!(
                "  {} from {}: {}, {}",
                kind.put_back,
                from.unwrap_or("?"),
                kind.class.map_or("?", |class| class.as_str()),
                handler.unwrap_or("?")
            );
        }

        bank.is_open.store(true, Ordering::Relaxed);
        println!("mended");
        let first = redrive().limit(1).run().await?;
        println!("try one: {} put back", first.put_back);
        paid(2).await;
        let rest = redrive().run().await?;
        println!("the rest: {} put back", rest.put_back);
        paid(3).await;
        let again = redrive().run().await?;
        println!("again: {} put back", again.put_back);
        ensure!(again.is_clean(), "{again}");
        Ok(())
    })
    .await
}
