use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", decode = "decode_user")]
async fn on_user(_: Raw) {}

fn main() {}
