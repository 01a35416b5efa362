use kafka_runtime::topic_handler;

#[derive(serde::Deserialize)]
struct Event<'m>(#[serde(borrow)] std::borrow::Cow<'m, str>);

#[topic_handler("users")]
async fn on_user(_: Event<'static>) {}

fn main() {}
