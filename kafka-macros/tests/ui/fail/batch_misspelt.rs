use kafka_runtime::{Batch, topic_handler};

#[topic_handler("orders", bach(max = 500))]
async fn on_orders(_: Batch<u64>) {}

fn main() {}
