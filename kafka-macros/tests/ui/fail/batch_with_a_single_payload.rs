use kafka_runtime::{DatabaseEvent, topic_handler};

#[topic_handler("orders", batch(max = 500))]
async fn on_orders(_: DatabaseEvent<u64>) {}

fn main() {}
