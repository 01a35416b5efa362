//! What happens to a record whose handler fails?
//!
//! The error decides whether another attempt may help, the handler's options decide the rest:
//!
//! | the handler returns, or does | then |
//! |---|---|
//! | any error, a panic, a `timeout` | `retry(..)` with backoff, only that key waits; then `on_failure` |
//! | `PermanentError`, `Classify` says `Permanent`, a value that does not decode | `on_failure` at once |
//! | `on_failure = "dead_letter"` (default) | the record goes to `{group}.{topic}.dlq`, byte for byte, with headers that say why |
//! | `on_failure = "skip"` | logged and counted |
//! | `on_failure = "stop"` | `run()` returns an error that names the record; nothing past it is committed |
//!
//! ```sh
//! cargo run --example errors
//! ```
//! ```text
//! payment 1: attempt 3 succeeded
//! payment 2: attempt 3 succeeded
//! dead letter: "4" because permanent, attempts 1
//! dead letter: "5" because permanent, attempts 1
//! dead letter: "poison" because decode, attempts 1
//! dead letter: "6" because panic, attempts 3
//! stopped: handler demo.ledger failed for good at demo.ledger[0]@… (permanent), and its policy is to stop: the books do not balance
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use anyhow::{Context, ensure};
use kafka_runtime::{
    Classify, DEAD_LETTER_HEADER_PREFIX, ErrorClass, FailurePolicy, Handler, Headers, Key,
    MessagePayload, Outcome, PermanentError, Raw, RecordMetadata, RetryableError, Runtime, State,
    classify, registered, topic_handler,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

#[derive(serde::Deserialize)]
struct Payment {
    id: u32,
}

/// An error that decides its own fate. `#[classify]` lets it be found inside an `anyhow::Error` too.
#[derive(Debug)]
enum BankError {
    Unreachable,
    Declined,
}

impl std::fmt::Display for BankError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the bank said no")
    }
}

impl std::error::Error for BankError {}

#[classify]
impl Classify for BankError {
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Unreachable => ErrorClass::Retryable,
            Self::Declined => ErrorClass::Permanent,
        }
    }
}

#[topic_handler(
    "demo.payments",
    retry(attempts = 3, initial = "10ms", max = "50ms"),
    timeout = "5s"
)]
async fn on_payment(payment: Payment, record: RecordMetadata) -> anyhow::Result<Outcome> {
    let is_last = record.attempt() == 3;
    match payment.id {
        1 => ensure!(is_last, BankError::Unreachable),
        2 => ensure!(is_last, RetryableError::new("the database is busy")),
        3 => return Ok(Outcome::skip("it was a test payment")), // neither an error nor handled: counted as skipped
        4 => Err(BankError::Declined).context("payment 4")?,
        5 => Err(PermanentError::new("the account is closed"))?,
        _ => assert!(payment.id != 6, "a panic is an error of this one record"),
    }
    println!(
        "payment {}: attempt {} succeeded",
        payment.id,
        record.attempt()
    );
    Ok(Outcome::Ack)
}

/// An own group for the dead letters: somebody should look at them.
#[topic_handler(
    "${KAFKA_GROUP_ID:errors}.demo.payments.dlq",
    group = "errors.operator"
)]
async fn on_dead_letter(
    _: Raw,
    key: Key<String>,
    headers: Headers,
    lines: State<UnboundedSender<String>>,
) -> anyhow::Result<()> {
    let header = |name: &str| {
        let value = headers.get(&format!("{DEAD_LETTER_HEADER_PREFIX}{name}"));
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let (class, attempts) = (header("class"), header("attempts"));
    lines.send(format!("{:?} because {class}, attempts {attempts}", key.0))?;
    Ok(())
}

#[topic_handler("demo.clicks", on_failure = "skip", retry(attempts = 1))]
async fn on_click(_: Raw) -> anyhow::Result<()> {
    anyhow::bail!("clicks are not worth a dead letter")
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = support::cluster()?;
    let config = cluster.config("errors")?;

    let (lines, mut dead_letters) = unbounded_channel::<String>();
    let runtime = Runtime::builder()
        .config(config.clone())
        .handlers(registered())
        .state(lines)
        .build()?;
    let mut records: Vec<_> = (1..=6)
        .map(|id: u32| {
            let payload = MessagePayload::new(format!(r#"{{"id":{id}}}"#));
            ("demo.payments", payload.key(id.to_string()))
        })
        .collect();
    records.push((
        "demo.payments",
        MessagePayload::new("not JSON").key("poison"),
    ));
    records.push(("demo.clicks", MessagePayload::new("click")));
    let (control, producer) = (runtime.control(), cluster.producer()?);
    support::run_script(runtime, async {
        let written = support::send(&producer, records).await?;
        support::done(&control, &written).await;
        for _ in 0..4 {
            println!(
                "dead letter: {}",
                dead_letters.recv().await.context("no handler is left")?
            );
        }
        Ok(())
    })
    .await?;

    let ledger = Handler::new("demo.ledger", |_: Raw| async {
        Err::<(), _>(PermanentError::new("the books do not balance"))
    });
    let runtime = Runtime::builder()
        .config(config)
        .handlers([ledger.on_failure(FailurePolicy::Stop)])
        .build()?;
    let entry = MessagePayload::new("entry").partition(0);
    if let Err(error) = cluster.run(runtime, vec![("demo.ledger", entry)]).await {
        println!("stopped: {error}");
    }
    Ok(())
}
