use kafka_runtime::{Batch, topic_handler};

struct Order;

#[topic_handler("orders", batch)]
async fn on_orders(_: Batch<Order>) {}

fn main() {}
