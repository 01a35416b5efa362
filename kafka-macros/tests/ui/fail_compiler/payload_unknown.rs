use kafka_runtime::topic_handler;

#[topic_handler("users")]
async fn on_user(_: User) {}

fn main() {}
