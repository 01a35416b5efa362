use kafka_runtime::{Raw, topic_handler};

struct Plain;

#[topic_handler("users")]
async fn on_user(_: Raw, _: Plain) {}

fn main() {}
