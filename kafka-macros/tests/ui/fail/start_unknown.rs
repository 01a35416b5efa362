use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", start = "newest")]
async fn on_user(_: Raw) {}

fn main() {}
