use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users")]
async extern "C" fn on_user(_: Raw) {}

fn main() {}
