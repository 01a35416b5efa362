use kafka_runtime::{DatabaseEvent, topic_handler};

struct Plain;

#[topic_handler("users")]
async fn on_user(_: DatabaseEvent<Plain>) {}

fn main() {}
