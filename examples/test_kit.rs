//! How do I test what becomes of a record: retries, dead letters, commits, a crash?
//!
//! Run the handler in a `TestRuntime`: the real engine on a broker in memory, with the clock in the test's hand. No Kafka,
//! no librdkafka, and no waiting: a minute passes when the test says so.
//!
//! ```sh
//! cargo test --example test_kit
//! ```
//! ```console
//! test tests::a_bank_that_is_down_is_asked_again ... ok
//! test tests::a_crash_before_the_commit_charges_nobody_twice ... ok
//! test tests::a_deleted_account_is_skipped ... ok
//! test tests::a_payment_is_charged_once_and_leaves_a_receipt ... ok
//! test tests::a_payment_that_makes_no_sense_is_parked ... ok
//! ```
//!
//! As a program it does the same by hand, and prints what it sees:
//!
//! ```sh
//! cargo run --example test_kit
//! ```
//! ```text
//! idle: 1 handled, 1 waits for its retry, committed Some(1)
//! after a minute: 2 handled, committed Some(2), receipts ["70", "30"]
//! what happened (seconds of the test's clock):
//!       0.000 s  group demo was assigned demo.payments[0]
//!       0.000 s  demo.payments[0]@0 handled by on_payment, attempt 1
//!       0.000 s  demo.payments[0]@1 failed in on_payment, attempt 1 (unclassified): the bank is down; again after …
//!       … s  demo.payments[0]@1 handled by on_payment, attempt 2
//! where it is:
//!   group demo: Running; demo.payments[0] committed 2
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_runtime::testing::TestRuntime;
use kafka_runtime::{
    Config, KafkaProducer, Key, MessagePayload, Outcome, PermanentError, State, topic_handler,
};

#[derive(serde::Serialize, serde::Deserialize)]
struct Payment {
    id: u64,
    cents: i64,
}

/// Stands for the bank's client. It charges each payment once, whoever asks again.
#[derive(Clone, Default)]
struct Bank(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    is_down: bool,
    calls: usize,
    charged: BTreeMap<u64, i64>,
}

impl Bank {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::unused_async, reason = "a real one asks over the network")]
    async fn charge(&self, payment: &Payment) -> anyhow::Result<()> {
        let mut books = self.books();
        books.calls += 1;
        anyhow::ensure!(!books.is_down, "the bank is down");
        books.charged.insert(payment.id, payment.cents);
        Ok(())
    }
}

#[topic_handler("demo.payments", retry(attempts = 5, initial = "1s", max = "10s"))]
async fn on_payment(
    payment: Option<Payment>,
    Key(account): Key<String>,
    State(bank): State<Bank>,
    kafka: KafkaProducer,
) -> anyhow::Result<Outcome> {
    let Some(payment) = payment else {
        return Ok(Outcome::skip("the account was deleted"));
    };
    anyhow::ensure!(payment.cents > 0, PermanentError::new("nothing to pay"));
    bank.charge(&payment).await?;
    let receipt = MessagePayload::new(payment.cents.to_string()).key(account);
    kafka.send_one("demo.receipts", receipt).await?;
    Ok(Outcome::Ack)
}

fn payment(id: u64, cents: i64) -> anyhow::Result<MessagePayload> {
    Ok(MessagePayload::json(&Payment { id, cents })?.key("account-7"))
}

/// As the service's `main` does it, with the kit's builder.
async fn start(bank: &Bank) -> anyhow::Result<TestRuntime> {
    let test = TestRuntime::builder()
        .config(Config::new().group_id("demo"))
        .only(["on_payment"]) // of all handlers that are linked into this binary
        .state(bank.clone())
        .start();
    Ok(test.await?)
}

// A test says #[tokio::test(start_paused = true)] instead.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let bank = Bank::default();
    let mut test = start(&bank).await?;

    test.produce("demo.payments", payment(1, 70)?);
    test.idle().await;
    bank.books().is_down = true;
    test.produce("demo.payments", payment(2, 30)?);
    test.idle().await;
    println!(
        "idle: {} handled, {} waits for its retry, committed {:?}",
        test.handled("demo.payments").len(),
        test.retried("demo.payments").len(),
        test.committed("demo.payments", 0),
    );

    bank.books().is_down = false;
    test.advance(Duration::from_mins(1)).await;
    let receipts = test.records("demo.receipts");
    println!(
        "after a minute: {} handled, committed {:?}, receipts {:?}",
        test.handled("demo.payments").len(),
        test.committed("demo.payments", 0),
        receipts
            .iter()
            .filter_map(|receipt| receipt.text())
            .collect::<Vec<_>>(),
    );
    print!("{test}");
    test.stop().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "demo.payments";

    #[tokio::test(start_paused = true)]
    async fn a_payment_is_charged_once_and_leaves_a_receipt() -> anyhow::Result<()> {
        let bank = Bank::default();
        let mut test = start(&bank).await?;

        test.produce(TOPIC, payment(1, 70)?);
        test.idle().await;

        assert_eq!(bank.books().charged[&1], 70);
        let receipts = test.records("demo.receipts");
        assert_eq!(receipts[0].text(), Some("70"));
        assert_eq!(receipts[0].key_text(), Some("account-7"));
        assert_eq!(test.committed(TOPIC, 0), Some(1));
        Ok(test.stop().await?)
    }

    #[tokio::test(start_paused = true)]
    async fn a_bank_that_is_down_is_asked_again() -> anyhow::Result<()> {
        let bank = Bank::default();
        bank.books().is_down = true;
        let mut test = start(&bank).await?;
        test.produce(TOPIC, payment(1, 70)?);
        test.idle().await;
        assert_eq!(test.retried(TOPIC)[0].error, "the bank is down");
        assert_eq!(test.committed(TOPIC, 0), None);

        bank.books().is_down = false;
        test.advance(Duration::from_secs(1)).await;

        assert_eq!(test.handled(TOPIC)[0].attempt, 2);
        assert_eq!(test.committed(TOPIC, 0), Some(1));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_payment_that_makes_no_sense_is_parked() -> anyhow::Result<()> {
        let bank = Bank::default();
        let mut test = start(&bank).await?;

        test.produce(TOPIC, payment(1, -70)?);
        test.produce(TOPIC, MessagePayload::new("no JSON").key("account-8"));
        test.idle().await;

        let letters = test.dead_letters(TOPIC);
        let errors: Vec<_> = letters.iter().map(|letter| letter.class.as_str()).collect();
        assert_eq!(errors, ["permanent", "decode"]);
        assert_eq!(letters[0].record.json::<Payment>().cents, -70);
        assert_eq!(bank.books().calls, 0);
        assert_eq!(test.committed(TOPIC, 0), Some(2));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_account_is_skipped() -> anyhow::Result<()> {
        let mut test = start(&Bank::default()).await?;

        test.produce(TOPIC, MessagePayload::tombstone("account-7"));
        test.idle().await;

        let skipped = test.skipped(TOPIC);
        assert_eq!(
            skipped[0].reason.as_deref(),
            Some("the account was deleted")
        );
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_before_the_commit_charges_nobody_twice() -> anyhow::Result<()> {
        let bank = Bank::default();
        let mut test = start(&bank).await?;
        test.hold_commits();
        test.produce(TOPIC, payment(1, 70)?);
        test.idle().await;

        test.kill_and_restart().await?;

        assert_eq!(bank.books().calls, 2);
        assert_eq!(bank.books().charged.len(), 1);
        Ok(())
    }
}
