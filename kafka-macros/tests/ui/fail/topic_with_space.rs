use kafka_runtime::{Raw, topic_handler};

#[topic_handler("auth users")]
async fn on_user(_: Raw) {}

fn main() {}
