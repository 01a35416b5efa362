use kafka_runtime::{Key, Raw, topic_handler};

struct Plain;

#[topic_handler("users")]
async fn on_user(_: Raw, _: Key<Plain>) {}

fn main() {}
