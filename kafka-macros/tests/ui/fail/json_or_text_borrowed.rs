use kafka_runtime::{JsonOrText, topic_handler};

#[derive(serde::Deserialize)]
struct Event<'m>(#[serde(borrow)] std::borrow::Cow<'m, str>);

#[topic_handler("users")]
async fn on_user(_: JsonOrText<Event<'_>>) {}

fn main() {}
