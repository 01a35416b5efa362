use kafka_runtime::{Raw, topic_handler};

#[topic_handler(7)]
async fn on_user(_: Raw) {}

fn main() {}
