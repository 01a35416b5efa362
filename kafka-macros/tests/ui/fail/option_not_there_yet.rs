use kafka_runtime::{Raw, topic_handler};

#[topic_handler("orders", schema = "avro")]
async fn on_order(_: Raw) {}

fn main() {}
