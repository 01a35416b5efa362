use kafka_runtime::{DatabaseEvent, topic_handler};

struct Plain;

type Event = DatabaseEvent<Plain>;

#[topic_handler("users")]
async fn on_user(_: Event) {}

fn main() {}
