use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", concurency = 8)]
async fn on_user(_: Raw) {}

fn main() {}
