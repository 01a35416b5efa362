//! How do I measure my handlers?
//!
//! With an observer: the runtime tells it what happens, and it cannot change it. The logs come from one too (install any
//! `tracing` subscriber), so this example shows both: its own figures, and what a service logs by default.
//!
//! ```sh
//! cargo run --example observe
//! ```
//! Expect (`…` stands for what differs from run to run):
//! ```text
//! … INFO kafka_runtime: starting
//! … WARN kafka_runtime: attempt failed, trying again topic="demo.clicks" … attempt=1 class=unclassified … error=the button is stuck
//! … WARN kafka_runtime: given up, written to the dead letter topic topic="demo.views" … error=value is not JSON: …
//! … INFO kafka_runtime: stopped group_id="observe" … unfinished=0
//! on_click       3 calls   1 retried   0 given up  mean … ms
//! on_view        2 calls   0 retried   1 given up  mean … ms
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use kafka_runtime::{Event, MessagePayload, Observer, RecordMetadata, Runtime, topic_handler};

#[derive(serde::Deserialize)]
struct Click {
    button: u32,
}

#[topic_handler("demo.clicks", retry(initial = "10ms"))]
async fn on_click(click: Click, record: RecordMetadata) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    ensure!(
        click.button != 2 || record.attempt() > 1,
        "the button is stuck"
    );
    Ok(())
}

#[topic_handler("demo.views")]
async fn on_view(_: u32) {}

/// Counts and times the calls of each handler. A real one updates the counters of a metrics library.
#[derive(Default)]
struct Stopwatch(Mutex<BTreeMap<String, Figures>>);

#[derive(Default)]
struct Figures {
    calls: u32,
    retried: u32,
    given_up: u32,
    time: Duration,
}

impl Stopwatch {
    fn figures(&self) -> MutexGuard<'_, BTreeMap<String, Figures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Stopwatch {
    fn observe(&self, event: &Event<'_>) {
        // Called from the threads that do the work: be quick, and never block.
        match event {
            Event::Handled {
                handler, duration, ..
            } => {
                let mut all = self.figures();
                let figures = all.entry((*handler).to_owned()).or_default();
                figures.calls += 1;
                figures.time += *duration;
            }
            Event::Retrying { handler, .. } => {
                self.figures()
                    .entry((*handler).to_owned())
                    .or_default()
                    .retried += 1;
            }
            Event::DeadLettered { handler, .. } => {
                self.figures()
                    .entry((*handler).to_owned())
                    .or_default()
                    .given_up += 1;
            }
            _ => {} // partitions assigned and revoked, pauses, errors of the client, ...
        }
    }

    /// `Event::Handled` costs two readings of the clock for each record, so it has to be asked for.
    fn wants_handled(&self) -> bool {
        true
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter("kafka_runtime=info")
        .init();
    let cluster = support::cluster()?;
    let stopwatch = Arc::new(Stopwatch::default());
    let runtime = Runtime::builder()
        .config(cluster.config("observe")?)
        .observer(Arc::clone(&stopwatch))
        .build()?;

    let value = |text: &str| MessagePayload::new(text);
    let records = vec![
        ("demo.clicks", value(r#"{"button":1}"#)),
        ("demo.clicks", value(r#"{"button":2}"#)),
        ("demo.clicks", value(r#"{"button":3}"#)),
        ("demo.views", value("1")),
        ("demo.views", value("2")),
        ("demo.views", value("three")),
    ];
    cluster.run(runtime, records).await?;

    for (handler, figures) in &*stopwatch.figures() {
        let Figures {
            calls,
            retried,
            given_up,
            time,
        } = figures;
        let mean = time.as_millis() / u128::from(*calls).max(1);
        println!(
            "{handler:<12} {calls:>3} calls {retried:>3} retried {given_up:>3} given up  mean {mean} ms"
        );
    }
    Ok(())
}
