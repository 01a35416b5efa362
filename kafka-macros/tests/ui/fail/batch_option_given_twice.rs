use kafka_runtime::{Batch, topic_handler};

#[topic_handler("orders", batch(max = 1, max = 2))]
async fn on_orders(_: Batch<u64>) {}

fn main() {}
