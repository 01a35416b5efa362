use kafka_runtime::{DatabaseEvent, Key, topic_handler};

#[derive(serde::Deserialize)]
struct User {}

#[topic_handler("users")]
async fn on_user(key: Key<i64>, event: DatabaseEvent<User>) {}

fn main() {}
