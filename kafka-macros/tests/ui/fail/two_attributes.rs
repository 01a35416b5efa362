use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users")]
#[topic_handler("sessions")]
async fn on_user(_: Raw) {}

fn main() {}
