use kafka_runtime::topic_handler;

#[topic_handler("users")]
async fn on_user<const N: usize>(_: [u8; N]) {}

fn main() {}
