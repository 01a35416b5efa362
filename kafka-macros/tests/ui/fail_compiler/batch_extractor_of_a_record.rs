use kafka_runtime::{Batch, topic_handler};

type Id = kafka_runtime::Key<i64>;

#[topic_handler("orders", batch)]
async fn on_orders(_: Batch<u64>, _: Id) {}

fn main() {}
