use kafka_runtime::{DatabaseEvent, topic_handler};

struct Plain;

#[topic_handler("users")]
async fn on_user(_: Option<DatabaseEvent<Plain>>) {}

fn main() {}
