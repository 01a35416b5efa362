use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", timeout = "1.5s")]
async fn on_user(_: Raw) {}

fn main() {}
