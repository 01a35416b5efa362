use kafka_runtime::{HandlerContext, Raw, topic_handler};

#[topic_handler("users")]
async fn on_user(_: Raw, _: HandlerContext) {}

fn main() {}
