use kafka_runtime::{Batch, RecordMetadata, topic_handler};

#[topic_handler("orders", batch)]
async fn on_orders(_: Batch<u64>, _: RecordMetadata) {}

fn main() {}
