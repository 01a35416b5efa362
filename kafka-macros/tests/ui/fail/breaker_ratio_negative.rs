use kafka_runtime::{Raw, topic_handler};

#[topic_handler("orders", breaker(ratio = -0.5))]
async fn on_order(_: Raw) {}

fn main() {}
