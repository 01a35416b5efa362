//! Kafka handlers for Rust services: annotate async functions, the runtime does the rest.
//!
//! ```no_run
//! use kafka_runtime::{topic_handler, Change, DatabaseEvent};
//!
//! #[derive(Debug, serde::Deserialize)]
//! struct User { id: i64, email: String }
//!
//! #[topic_handler("auth.public.users")]
//! async fn on_user(event: DatabaseEvent<User>) -> anyhow::Result<()> {
//!     match event.change {
//!         Change::Create { after } | Change::Read { after } => println!("hello {}", after.email),
//!         Change::Update { before, after } => println!("{} changed (had an old row: {})", after.id, before.is_some()),
//!         Change::Delete { .. } => println!("bye"),
//!         _ => {}
//!     }
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     kafka_runtime::run().await?;
//!     Ok(())
//! }
//! ```
//!
//! [`run`] reads the configuration from the environment ([`Config::from_env`]), collects the handlers that are linked
//! into the binary, checks everything, joins the consumer groups, and handles records until SIGTERM or SIGINT.
//!
//! # What happens to a record
//!
//! It is decoded to the type of the handler's first argument, and the handler is called: one call at a time for a key,
//! in order, many keys side by side. If the handler returns an error, panics or takes longer than its `timeout`, it is
//! called again, after a wait that only this key spends ([`Retry`]). After the last attempt the [`FailurePolicy`]
//! decides: dead letter topic, skip, or stop. The offset that is committed is always one past the last record before
//! which everything is finished.
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | the attribute and its options | [`macro@topic_handler`] |
//! | payloads: JSON, borrowed, text, bytes, your own | [`FromRecord`], [`Json`], [`Text`], [`Raw`], [`JsonOrText`] |
//! | rows of a database (Debezium) | [`DatabaseEvent`], [`Change`], [`OldRow`], [`Source`]; flattened: [`FlatEvent`] |
//! | columns of such rows | [`mod@column`]: decimals, times, JSON, binary, values that were not sent |
//! | what else Debezium sends | [`OutboxEvent`], [`ChangeId`], [`KeyChange`], [`TransactionMarker`], [`Heartbeat`], [`SchemaChange`], [`Signal`] |
//! | many records at once | [`Batch`], [`BatchRecord`], [`BatchOutcome`], [`Handler::batch`], [`FromBatchContext`] |
//! | the other arguments | [`FromContext`], [`Key`], [`Headers`], [`RecordMetadata`], [`State`], [`KafkaProducer`], [`CancellationToken`] |
//! | what a handler returns | [`IntoOutcome`], [`Outcome`], [`RetryableError`], [`PermanentError`], [`Classify`] |
//! | a runtime by hand | [`Runtime::builder`], [`Handler`], [`Control`] |
//! | clients by hand | [`KafkaManager`], [`KafkaConsumer`], [`KafkaProducer`] |
//! | settings | [`Config`], [`ClientOptions`], [`ConsumerOptions`], [`ProducerOptions`] |
//! | dead letters, and putting them back | [`FailurePolicy`], [`redrive`], [`Redrive`](redrive::Redrive) |
//! | tests | the kit `testing` (feature `testing`), [`Record::for_test`], [`RecordMetadata::for_test`] |
//! | what goes on | [`Observer`], [`Event`], [`GroupStatus`], [`ConsumerState`] |
//! | errors | [`RunError`], [`StartError`], [`ConnectError`], [`ClientError`], [`DecodeError`], [`SendError`] |
//!
//! # A runtime by hand
//!
//! ```no_run
//! use kafka_runtime::{Config, Handler, Runtime, registered};
//!
//! #[derive(serde::Deserialize)]
//! struct Order { id: i64 }
//!
//! async fn fulfil(order: Order) -> anyhow::Result<()> {
//!     println!("order {}", order.id);
//!     Ok(())
//! }
//!
//! # async fn example() -> anyhow::Result<()> {
//! let runtime = Runtime::builder()
//!     .config(Config::from_env()?.group_id("analytics"))
//!     .handlers(registered())
//!     .handler(Handler::new("orders.events", fulfil))
//!     .build()?;
//! let control = runtime.control();
//! tokio::spawn(async move {
//!     println!("{:?}", control.status());
//! });
//! runtime.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Errors decide their own fate
//!
//! ```
//! use kafka_runtime::{PermanentError, Text, topic_handler};
//!
//! #[topic_handler("payments")]
//! async fn on_payment(payment: Text) -> anyhow::Result<()> {
//!     let Some(payment) = payment.as_str() else {
//!         // Straight to the failure policy.
//!         return Err(PermanentError::new("a payment has a value").into());
//!     };
//!     // Any other error is tried again, up to `retry(attempts = 8)`.
//!     let _amount: u64 = payment.parse()?;
//!     Ok(())
//! }
//! ```
//!
//! # Handlers in a unit test
//!
//! The function stays as it was written:
//!
//! ```
//! use kafka_runtime::{DatabaseEvent, topic_handler};
//!
//! #[derive(serde::Deserialize)]
//! struct User { email: String }
//!
//! #[topic_handler("auth.public.users")]
//! async fn on_user(event: DatabaseEvent<User>) -> anyhow::Result<()> {
//!     anyhow::ensure!(event.after().is_none_or(|user| user.email.contains('@')), "no address");
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let user = User { email: "a@b.c".into() };
//! assert!(on_user(DatabaseEvent::create(user)).await.is_ok());
//! # }
//! ```
//!
//! # Features
//!
//! `rdkafka` (default) is the client; `ssl` or `ssl-vendored` adds TLS and SCRAM, `gssapi` Kerberos, `zstd` zstd;
//! `chrono`, `jiff`, `time`, `rust_decimal` and `bigdecimal` convert [`mod@column`] types;
//! `embedded-broker` adds `EmbeddedBroker`, a broker in memory for examples and tests; `testing` adds the test kit, which
//! runs the engine in a unit test, without librdkafka; `cli` is the command `kafka-runtime`.
//!
//! The [README], [configuration], [operations], [testing][testing guide], [troubleshooting] and [architecture] pages are in
//! the repository.
//!
//! [README]: https://github.com/kafka-runtime/kafka-runtime#readme
//! [configuration]: https://github.com/kafka-runtime/kafka-runtime/blob/main/docs/CONFIGURATION.md
//! [operations]: https://github.com/kafka-runtime/kafka-runtime/blob/main/docs/OPERATIONS.md
//! [testing guide]: https://github.com/kafka-runtime/kafka-runtime/blob/main/docs/TESTING.md
//! [troubleshooting]: https://github.com/kafka-runtime/kafka-runtime/blob/main/docs/TROUBLESHOOTING.md
//! [architecture]: https://github.com/kafka-runtime/kafka-runtime/blob/main/docs/ARCHITECTURE.md

pub use kafka_core::*;
pub use kafka_macros::{classify, topic_handler};

#[doc(hidden)]
pub use kafka_core::__private;

/// Compiles the programs of the documents.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    mod readme {}

    #[doc = include_str!("../docs/CDC.md")]
    mod cdc {}

    #[doc = include_str!("../docs/TESTING.md")]
    mod testing {}

    #[doc = include_str!("../docs/MIGRATING.md")]
    mod migrating {}

    #[doc = include_str!("../docs/OPERATIONS.md")]
    mod operations {}

    #[doc = include_str!("../docs/TROUBLESHOOTING.md")]
    mod troubleshooting {}
}
