use std::borrow::Cow;

use kafka_runtime::{Batch, topic_handler};

#[derive(serde::Deserialize)]
struct Order<'m>(#[serde(borrow)] Cow<'m, str>);

#[topic_handler("orders", batch)]
async fn on_orders(_: Batch<Order<'_>>) {}

fn main() {}
