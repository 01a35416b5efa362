use kafka_runtime::{Headers, topic_handler};

#[topic_handler("users")]
async fn on_user(headers: Headers) {}

fn main() {}
