use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", concurrency = -1)]
async fn on_user(_: Raw) {}

fn main() {}
