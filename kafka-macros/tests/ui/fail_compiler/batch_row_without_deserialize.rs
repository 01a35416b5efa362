use kafka_runtime::{Batch, DatabaseEvent, topic_handler};

struct Order;

#[topic_handler("orders", batch)]
async fn on_orders(_: Batch<DatabaseEvent<Order>>) {}

fn main() {}
