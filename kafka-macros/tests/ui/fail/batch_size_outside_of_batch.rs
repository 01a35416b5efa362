use kafka_runtime::{Batch, topic_handler};

#[topic_handler("orders", batch, batch_size = 500)]
async fn on_orders(_: Batch<u64>) {}

fn main() {}
