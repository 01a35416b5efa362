use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", concurrency = 5_000_000_000)]
async fn on_user(_: Raw) {}

fn main() {}
