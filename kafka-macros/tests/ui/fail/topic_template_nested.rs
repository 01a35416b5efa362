use kafka_runtime::{Raw, topic_handler};

#[topic_handler("${USERS:${OTHER}}")]
async fn on_user(_: Raw) {}

fn main() {}
