use kafka_runtime::{Batch, topic_handler};

#[topic_handler("orders", batch)]
async fn on_orders(_: &Batch<u64>) {}

fn main() {}
