use kafka_runtime::{Raw, topic_handler};

#[topic_handler(group = "g")]
async fn on_user(_: Raw) {}

fn main() {}
