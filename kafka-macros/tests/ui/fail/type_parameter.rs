use kafka_runtime::topic_handler;

#[topic_handler("users")]
async fn on_user<T: serde::de::DeserializeOwned>(_: T) {}

fn main() {}
