use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", retry(attempt = 8))]
async fn on_user(_: Raw) {}

fn main() {}
