use kafka_runtime::{Raw, topic_handler};

#[topic_handler("orders", breaker())]
async fn on_order(_: Raw) {}

fn main() {}
