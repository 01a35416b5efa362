use kafka_runtime::{topic_handler};

#[topic_handler("orders", batch)]
async fn on_orders(_: Vec<u64>) {}

fn main() {}
