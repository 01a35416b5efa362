use kafka_runtime::{Json, topic_handler};

#[topic_handler("users")]
async fn on_user(_: u64, _: Json<u64>) {}

fn main() {}
