use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", retry(initial = "100", max = "50ms"))]
async fn on_user(_: Raw) {}

fn main() {}
