//! The test kit: the real engine on a broker in memory, with the clock in the test's hand. Feature `testing`.
//!
//! Three ways to test a service, cheapest first:
//!
//! 1. **Call the handler.** It is a function; its arguments can be made by hand: [`DatabaseEvent::create`],
//!    [`Record::for_test`], [`Headers::for_test`], [`RecordMetadata::for_test`], [`TestProducer`], [`State`], [`Key`].
//! 2. **Run it in a [`TestRuntime`]**, when the question is what becomes of a record: decoding, order, retries, dead
//!    letters, commits, rebalances, restarts. It needs no Kafka and no librdkafka, and no real time.
//! 3. **Real Kafka**, for what is the brokers': permissions, quotas, compaction, networks.
//!
//! ```
//! use std::time::Duration;
//! use kafka_core::testing::TestRuntime;
//! use kafka_core::{Handler, MessagePayload, Retry, Text};
//!
//! async fn on_payment(payment: Text) -> anyhow::Result<()> {
//!     let _amount: u64 = payment.as_str().unwrap_or_default().parse()?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! // #[tokio::test(start_paused = true)]
//! let mut test = TestRuntime::builder()
//!     .handlers([Handler::new("payments", on_payment).retry(Retry { attempts: 2, ..Retry::DEFAULT })])
//!     .start()
//!     .await?;
//! test.produce("payments", MessagePayload::new("100").key("7"));
//! test.produce("payments", MessagePayload::new("a lot").key("8"));
//!
//! test.idle().await;                                      // nothing moves any more without time passing
//! assert_eq!(test.handled("payments").len(), 1);
//! assert_eq!(test.committed("payments", 0), Some(1));     // the other one waits for its retry
//!
//! test.advance(Duration::from_secs(1)).await;
//! let letters = test.dead_letters("payments");
//! assert_eq!(letters[0].record.text(), Some("a lot"));
//! assert_eq!(letters[0].attempts, 2);
//! assert_eq!(test.committed("payments", 0), Some(2));
//! test.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Who drives it
//!
//! The test does: the poll thread's rounds happen inside of [`idle`](TestRuntime::idle),
//! [`advance`](TestRuntime::advance) and the other methods that are awaited, and nowhere else. The lanes, and whatever
//! the handlers spawn, are tasks of the test's own runtime, which must be tokio's current-thread one. Its clock is
//! paused if it is not yet. Between the kit's methods the clock does what tokio's paused clock does: it jumps to the
//! next timer when every task waits.
//!
//! # What is as in production, and what is not
//!
//! Checks at start, engine, retries, dead letters, rebalancing and stop are the runtime's own code. The brokers are not:
//! there is one member in each group, it commits as soon as something is finished, a topic exists as soon as somebody
//! writes to it, and nothing is ever deleted. Lanes are laid out for 4 cores on every machine.
//!
//! # In `Cargo.toml`
//!
//! ```toml
//! [dev-dependencies]
//! kafka-runtime = { version = "0.1", features = ["testing"] }
//! ```
//!
//! Cargo unifies features: in a build with tests, the service's own dependency on `kafka-runtime` decides whether
//! librdkafka is built. The kit itself does not need it. A crate with the handlers alone can depend on `kafka-runtime`
//! with `default-features = false` and leave the client to the crate with `main`; its tests then build no C.
//!
//! [`DatabaseEvent::create`]: crate::DatabaseEvent::create
//! [`Record::for_test`]: crate::Record::for_test
//! [`Headers::for_test`]: crate::Headers::for_test
//! [`RecordMetadata::for_test`]: crate::RecordMetadata::for_test
//! [`State`]: crate::State
//! [`Key`]: crate::Key

mod builder;
mod by_hand;
mod clients;
mod clock;
pub mod debezium;
mod event;
mod fault;
mod group;
mod journal;
mod look;
mod member;
mod record;
mod runtime;
#[cfg(test)]
mod tests;

pub use builder::TestRuntimeBuilder;
pub use by_hand::TestProducer;
pub use group::TestGroup;
pub use journal::{Handled, Parked, Retried, Skipped, TestEvent};
pub use record::{DeadLetter, TestRecord};
pub use runtime::TestRuntime;
