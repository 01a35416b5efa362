use kafka_runtime::{Headers, topic_handler};

#[topic_handler("users")]
async fn on_user(_: Headers) {}

fn main() {}
