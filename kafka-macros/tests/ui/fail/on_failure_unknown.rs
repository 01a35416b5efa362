use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", on_failure = "dead-letter")]
async fn on_user(_: Raw) {}

fn main() {}
