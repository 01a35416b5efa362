use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", retry_topics = ["1m"])]
async fn on_user(_: Raw) {}

fn main() {}
