use kafka_runtime::{Batch, Key, topic_handler};

#[topic_handler("orders", batch)]
async fn on_orders(_: Batch<u64>, Key(_): Key<i64>) {}

fn main() {}
