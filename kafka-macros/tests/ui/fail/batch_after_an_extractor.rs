use kafka_runtime::{Batch, State, topic_handler};

#[topic_handler("orders", batch)]
async fn on_orders(_: State<u8>, _: Batch<u64>) {}

fn main() {}
