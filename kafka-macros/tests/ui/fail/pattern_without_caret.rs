use kafka_runtime::{Raw, topic_handler};

#[topic_handler(pattern = r"auth\..*")]
async fn on_user(_: Raw) {}

fn main() {}
