use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", on_failure = "skip", dead_letter = "users.dlq")]
async fn on_user(_: Raw) {}

fn main() {}
