use kafka_runtime::{DatabaseEvent, Key, topic_handler};

#[derive(serde::Deserialize)]
struct User {}

#[topic_handler("users")]
async fn on_user(_: Key<i64>, _: DatabaseEvent<User>) {}

fn main() {}
