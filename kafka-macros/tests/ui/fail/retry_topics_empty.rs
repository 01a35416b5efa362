use kafka_runtime::{Raw, topic_handler};

#[topic_handler("orders", retry_topics = [])]
async fn on_order(_: Raw) {}

fn main() {}
