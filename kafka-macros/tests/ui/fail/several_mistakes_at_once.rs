use kafka_runtime::{Headers, Text, topic_handler};

#[topic_handler(
    "users",
    "users",
    "auth users",
    concurency = 8,
    ordering = "keys",
    timeout = "30",
    retry(attempts = 0, initial = "1m", max = "1s", jitter = "full"),
    on_failure = "skip",
    dead_letter = "users",
    7
)]
fn on_user<T>(_: Headers, _: Text) {}

fn main() {}
