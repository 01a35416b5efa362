use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", group_id = "g")]
async fn on_user(_: Raw) {}

fn main() {}
