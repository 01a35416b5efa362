use kafka_runtime::topic_handler;

#[topic_handler("users")]
struct OnUser;

fn main() {}
