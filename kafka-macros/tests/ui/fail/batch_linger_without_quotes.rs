use kafka_runtime::{Batch, topic_handler};

#[topic_handler("orders", batch(linger = 50ms))]
async fn on_orders(_: Batch<u64>) {}

fn main() {}
