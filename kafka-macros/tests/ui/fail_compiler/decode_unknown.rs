use kafka_runtime::topic_handler;

#[topic_handler("users", decode = decode_user)]
async fn on_user(_: u64) {}

fn main() {}
