use kafka_runtime::{Raw, topic_handler};

#[topic_handler(USERS_TOPIC)]
async fn on_user(_: Raw) {}

fn main() {}
