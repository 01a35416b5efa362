//! What the attribute leaves for the linker, without any Kafka.

use std::collections::BTreeMap;

use kafka_runtime::{
    Classify, DatabaseEvent, ErrorClass, Handler, Headers, Outcome, Place, Raw, Text, classify,
    registered, topic_handler,
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
    max_payload = "1MiB"
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

    assert_eq!(first_topics.len(), 4);
    assert!(first_topics.is_sorted(), "{first_topics:?}");
}

#[test]
fn a_handler_is_named_after_its_function() {
    let names: Vec<_> = registered()
        .iter()
        .map(|handler| handler.name().to_owned())
        .collect();

    assert_eq!(names, ["on_audit", "on_zebra", "analytics", "on_zebra"]);
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

#[tokio::test]
async fn the_function_can_be_called() {
    on_zebra(Raw::new(b"stripes")).await;
}
