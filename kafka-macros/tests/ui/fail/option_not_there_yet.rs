use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", batch(max = 500))]
async fn on_user(_: Raw) {}

fn main() {}
