use kafka_runtime::{Batch, Headers, topic_handler};

#[topic_handler("orders", batch)]
async fn on_orders(_: Batch<u64>, _: Headers) {}

fn main() {}
