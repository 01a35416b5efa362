use kafka_runtime::topic_handler;

#[derive(serde::Deserialize)]
struct User {}

#[topic_handler("users")]
async fn on_user(_: &mut User) {}

fn main() {}
