use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", changed = [1])]
async fn on_user(_: Raw) {}

fn main() {}
