use kafka_runtime::{Raw, topic_handler};

#[topic_handler("orders", circuit_breaker = "off")]
async fn on_order(_: Raw) {}

fn main() {}
