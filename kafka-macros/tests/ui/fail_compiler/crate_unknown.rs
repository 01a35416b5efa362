use kafka_runtime::topic_handler;

#[topic_handler("users", crate = kafka)]
async fn on_user(_: u64) {}

fn main() {}
