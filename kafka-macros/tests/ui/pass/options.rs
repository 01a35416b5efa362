use kafka_runtime::{Batch, Raw, topic_handler};

#[topic_handler("a", "b.c", "${D}", "${PREFIX:}e", "${F:f}.g",)]
async fn topics(_: Raw) {}

#[topic_handler(pattern = r"^auth\.public\.(users|sessions)$", group = "g")]
async fn pattern(_: Raw) {}

#[topic_handler("a", ordering = "key", on_failure = "dead_letter", dead_letter = "a.dlq", start = "earliest")]
async fn texts(_: Raw) {}

#[topic_handler("a", retry(attempts = 1), on_failure = "skip", timeout = "500ms", max_payload = "64kB")]
async fn numbers(_: Raw) {}

#[topic_handler("a", retry(initial = "1s"), concurrency = 1_000)]
async fn initial_alone(_: Raw) {}

#[topic_handler("a", retry(initial = "1m", max = "1h",))]
async fn long_waits(_: Raw) {}

#[topic_handler("a", r#name = "another name", enabled_if = "_ENABLE_9", dead_letter = "${DLQ:a.dlq}")]
async fn names(_: Raw) {}

#[topic_handler(pattern = r"^${DB:auth}\.public\.", group = "${STAGE}-users")]
async fn from_the_environment(_: Raw) {}

#[topic_handler("a", retry_topics = ["1m"], breaker(ratio = 1))]
async fn one_retry_topic(_: Raw) {}

#[topic_handler("a", retry_topics = ["500ms", "10s", "1m", "1h",], breaker(ratio = 0.95, records = 1_000))]
async fn many_retry_topics(_: Raw) {}

#[topic_handler("a", breaker(records = 5,), batch, retry_topics = ["1m", "10m"])]
async fn batches(_: Batch<u64>) {}

#[topic_handler("a", breaker = "off")]
async fn no_breaker(_: Raw) {}

#[topic_handler("a", breaker = off)]
async fn no_breaker_bare(_: Raw) {}

#[topic_handler("a", ops = "d")]
async fn one_operation(_: Raw) {}

#[topic_handler("a", ops = "c, r, u, d, t, m", changed = ["email", "été", "after",])]
async fn all_operations(_: Raw) {}

#[topic_handler("a", changed = ["email"], batch)]
async fn changed_alone(_: Batch<u64>) {}

fn main() {
    assert_eq!(kafka_runtime::registered().len(), 16);
}
