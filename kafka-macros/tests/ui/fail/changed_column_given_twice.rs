use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", changed = ["email", "email"])]
async fn on_user(_: Raw) {}

fn main() {}
