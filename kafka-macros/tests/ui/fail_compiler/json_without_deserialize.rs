use kafka_runtime::{Json, topic_handler};

struct Plain;

#[topic_handler("users")]
async fn on_user(_: Json<Plain>) {}

fn main() {}
