use kafka_runtime::{Headers, Raw, topic_handler};

#[topic_handler("users")]
async fn on_user(_: Raw, #[cfg(not(any()))] _: Headers) {}

fn main() {}
