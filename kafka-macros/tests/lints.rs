//! A crate with strict lints: what the attribute adds must not break them.
#![forbid(unsafe_code)]
#![deny(
    warnings,
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    clippy::nursery,
    clippy::pedantic,
    elided_lifetimes_in_paths,
    let_underscore_drop,
    missing_debug_implementations,
    rust_2018_idioms,
    single_use_lifetimes,
    trivial_casts,
    unreachable_pub,
    unused_lifetimes,
    unused_qualifications,
    unused_results,
    variant_size_differences
)]

use std::borrow::Cow;

use kafka_runtime::{
    Batch, BatchOutcome, Classify, DatabaseEvent, DecodeError, ErrorClass, Headers, KafkaProducer,
    Key, Outcome, Record, RecordMetadata, State, classify, topic_handler,
};
use serde::Deserialize;

/// A payload that borrows.
#[derive(Debug, Deserialize)]
pub struct Event<'m> {
    /// The text.
    #[serde(borrow)]
    pub text: Cow<'m, str>,
}

/// An error.
#[derive(Debug)]
pub struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("declined")
    }
}

impl std::error::Error for Declined {}

#[classify]
impl Classify for Declined {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

fn length(record: &Record) -> Result<usize, DecodeError> {
    record
        .value()
        .map(<[u8]>::len)
        .ok_or_else(|| DecodeError::custom("null"))
}

/// Takes much.
///
/// # Errors
/// Now and then.
#[topic_handler("events", timeout = "30s", retry(attempts = 3, initial = "1s"))]
pub async fn on_event(
    event: Event<'_>,
    Key(key): Key<&str>,
    headers: Headers,
    record: RecordMetadata,
    state: State<u8>,
    producer: KafkaProducer,
) -> Result<(), Declined> {
    tokio::task::yield_now().await;
    let _text = format!("{producer:?}");
    if event.text == key && headers.len() > usize::from(*state) && record.attempt() > 1 {
        return Err(Declined);
    }
    Ok(())
}

#[topic_handler("rows", ordering = "partition", on_failure = "skip")]
async fn _on_row(row: DatabaseEvent<Event<'_>>) -> anyhow::Result<Outcome> {
    tokio::task::yield_now().await;
    drop(row);
    Ok(Outcome::Ack)
}

#[topic_handler("lengths", decode = length, max_payload = "1KiB")]
#[expect(unused_variables, reason = "the adapter must not expect it too")]
async fn on_length(length: usize) {}

/// Takes many.
///
/// # Errors
/// Now and then.
#[topic_handler("batches", batch(max = 10), decode = length, timeout = "30s")]
pub async fn on_batch(batch: Batch<usize>, state: State<u8>) -> Result<BatchOutcome, Declined> {
    tokio::task::yield_now().await;
    if batch.len() > usize::from(*state) {
        return Err(Declined);
    }
    Ok(BatchOutcome::ok())
}

#[test]
fn they_are_registered() {
    assert_eq!(kafka_runtime::registered().len(), 4);
}
