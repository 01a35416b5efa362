//! What the attribute leaves for the linker, without any Kafka.

use std::collections::BTreeMap;

use kafka_runtime::{
    Batch, BatchOutcome, Breaker, Classify, DatabaseEvent, ErrorClass, Handler, Headers, Outcome,
    Place, Raw, Text, classify, registered, topic_handler,
};

#[topic_handler("zebras")]
async fn on_zebra(_: Raw) {}

/// Two topics, every option.
#[topic_handler(
    "auth.public.users",
    "${SESSIONS_TOPIC:auth.public.sessions}",
    group = "analytics",
    ordering = "partition",
    concurrency = 16,
    timeout = "30s",
    retry(attempts = 3, initial = "10ms", max = "1m"),
    on_failure = "dead_letter",
    dead_letter = "analytics.dlq",
    enabled_if = "ENABLE_ANALYTICS",
    name = "analytics",
    start = "latest",
    max_payload = "1MiB",
    retry_topics = ["90s", "1h"],
    breaker(ratio = 0.5, records = 20),
    ops = "c,u",
    changed = ["email", "name"]
)]
pub(crate) async fn on_change(
    event: DatabaseEvent<serde::de::IgnoredAny>,
    _: Headers,
) -> anyhow::Result<Outcome> {
    anyhow::ensure!(event.after().is_some(), "no row");
    Ok(Outcome::Ack)
}

#[topic_handler(pattern = r"^audit\..*$", on_failure = "skip")]
async fn on_audit(_: Text) {}

#[topic_handler("orders", batch, breaker = "off")]
async fn on_orders(batch: Batch<u64>) -> BatchOutcome {
    let known = |n: &u64| if *n < 3 { Ok(()) } else { Err("unknown") };
    batch.payloads().map(known).collect()
}

#[topic_handler("payments", batch(max = 10, linger = "0ms"))]
async fn on_payments(_: Batch<Option<u64>>) {}

mod nested {
    use kafka_runtime::{Raw, topic_handler};

    #[topic_handler("auth.public.users", group = "mailer")]
    async fn r#on_zebra(_: Raw) {}
}

#[derive(Debug)]
struct Declined;

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

fn by_name() -> BTreeMap<String, Handler> {
    let named = |handler: Handler| (handler.name().to_owned(), handler);
    registered().into_iter().map(named).collect()
}

#[test]
fn handlers_are_sorted_by_topic() {
    let first_topics: Vec<_> = registered()
        .iter()
        .map(|handler| handler.topics().first().cloned())
        .collect();

    assert_eq!(first_topics.len(), 6);
    assert!(first_topics.is_sorted(), "{first_topics:?}");
}

#[test]
fn a_handler_is_named_after_its_function() {
    let names: Vec<_> = registered()
        .iter()
        .map(|handler| handler.name().to_owned())
        .collect();

    assert_eq!(
        names,
        [
            "on_audit",
            "on_zebra",
            "analytics",
            "on_orders",
            "on_payments",
            "on_zebra"
        ]
    );
}

#[test]
fn topics_are_kept_as_written() {
    assert_eq!(
        by_name()["analytics"].topics(),
        [
            "auth.public.users",
            "${SESSIONS_TOPIC:auth.public.sessions}"
        ]
    );
    assert_eq!(by_name()["on_audit"].topics(), [""; 0]);
}

#[test]
fn a_handler_stands_where_its_function_is_named() {
    let line = include_str!("registered.rs")
        .lines()
        .zip(1..)
        .find(|(line, _)| line.contains("async fn on_change("))
        .map(|(_, number)| number);

    let Place { file, line: told } = by_name()["analytics"].place();

    assert!(file.ends_with("tests/registered.rs"), "{file}");
    assert_eq!(Some(told), line);
}

#[test]
fn every_option_arrives() {
    let options = format!("{:?}", by_name()["analytics"]);

    for option in [
        r#"group: Some("analytics")"#,
        "ordering: Partition",
        "concurrency: 16",
        "timeout: Some(30s)",
        "attempts: 3",
        "initial: 10ms",
        "max: 60s",
        "on_failure: DeadLetter",
        r#"dead_letter: Some("analytics.dlq")"#,
        r#"enabled_if: Some("ENABLE_ANALYTICS")"#,
        "start: Latest",
        "max_payload: Some(1048576)",
        "retry_topics: [90s, 3600s]",
        "breaker: Breaker { ratio: 0.5, records: 20 }",
        "operations: Some([Create, Update])",
        r#"changed: Some(["email", "name"])"#,
    ] {
        assert!(options.contains(option), "{option} in {options}");
    }
}

#[test]
fn what_is_not_given_is_the_default() {
    let by_attribute = format!("{:?}", by_name()["on_zebra"]);
    let by_hand = Handler::new("zebras", async |_: Raw| {}).with_name("on_zebra");

    let until_place = |text: &str| text.split(", place:").next().map(str::to_owned);

    assert_eq!(
        until_place(&by_attribute),
        until_place(&format!("{by_hand:?}"))
    );
}

#[test]
fn a_batch_has_its_options_or_the_defaults() {
    let by_hand = Handler::batch("orders", on_orders);
    let options = |handler: &Handler| format!("{handler:?}");
    let batch = |text: &str| text.split("batch: ").nth(1).map(str::to_owned);
    let of = |name: &str| batch(&options(&by_name()[name])).unwrap_or_default();

    assert!(of("on_orders").starts_with("Some(BatchOptions { max: 500, linger: 50ms })"));
    assert!(of("on_payments").starts_with("Some(BatchOptions { max: 10, linger: 0ns })"));
    assert!(of("on_audit").starts_with("None"));
    assert!(options(&by_hand).contains("max: 500, linger: 50ms"));
}

#[test]
fn a_breaker_can_be_switched_off() {
    let options = |name: &str| format!("{:?}", by_name()[name]);

    assert!(options("on_orders").contains(&format!("breaker: {:?}", Breaker::OFF)));
    assert!(options("on_audit").contains(&format!("breaker: {:?}", Breaker::DEFAULT)));
}

#[tokio::test]
async fn the_function_can_be_called() {
    on_zebra(Raw::new(b"stripes")).await;
    let outcome = on_orders(Batch::for_test("orders", [2, 3])).await;

    assert!(!outcome.is_ok());
}
