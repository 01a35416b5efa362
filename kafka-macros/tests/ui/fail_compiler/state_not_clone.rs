use kafka_runtime::{Raw, State, topic_handler};

struct Plain;

#[topic_handler("users")]
async fn on_user(_: Raw, _: State<Plain>) {}

fn main() {}
