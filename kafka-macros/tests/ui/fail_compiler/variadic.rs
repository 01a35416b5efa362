use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users")]
async unsafe extern "C" fn on_user(_: Raw, _: ...) {}

fn main() {}
