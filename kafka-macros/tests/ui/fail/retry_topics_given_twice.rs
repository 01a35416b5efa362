use kafka_runtime::{Raw, topic_handler};

#[topic_handler("orders", retry_topics = ["1m"], retry_topics = ["10m"])]
async fn on_order(_: Raw) {}

fn main() {}
