use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", group = "${GROUP")]
async fn on_user(_: Raw) {}

fn main() {}
