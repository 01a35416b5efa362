use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", dead_letter = "users dlq")]
async fn on_user(_: Raw) {}

fn main() {}
