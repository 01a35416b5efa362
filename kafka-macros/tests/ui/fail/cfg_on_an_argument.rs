use kafka_runtime::{Headers, Raw, topic_handler};

#[topic_handler("users")]
async fn on_user(_: Raw, #[cfg(any())] _: Headers) {}

fn main() {}
