use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users", max_payload = "1mib")]
async fn on_user(_: Raw) {}

fn main() {}
