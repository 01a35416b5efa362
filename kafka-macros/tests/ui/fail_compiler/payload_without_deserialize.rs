use kafka_runtime::topic_handler;

struct Plain;

#[topic_handler("users")]
async fn on_user(_: Plain) {}

fn main() {}
