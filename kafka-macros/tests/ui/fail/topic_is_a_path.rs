use kafka_runtime::{Raw, topic_handler};

#[topic_handler(topics::USERS)]
async fn on_user(_: Raw) {}

fn main() {}
