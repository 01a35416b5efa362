use kafka_runtime::{Batch, Raw, topic_handler};

#[topic_handler("orders")]
async fn on_orders(_: Raw, _: Batch<u64>) {}

fn main() {}
