use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", on_failure = "stop", dead_letter = "users.dlq")]
async fn on_user(_: Raw) {}

fn main() {}
