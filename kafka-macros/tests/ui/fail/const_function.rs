use kafka_runtime::topic_handler;

#[topic_handler("users")]
const fn on_user(_: u8) {}

fn main() {}
