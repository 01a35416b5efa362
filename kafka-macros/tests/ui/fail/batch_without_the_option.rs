use kafka_runtime::{Batch, topic_handler};

#[topic_handler("orders")]
async fn on_orders(_: Batch<Option<u64>>) {}

fn main() {}
