use kafka_runtime::{DecodeError, topic_handler};

fn decode_user(_: &[u8]) -> Result<u64, DecodeError> {
    Ok(7)
}

#[topic_handler("users", decode = decode_user)]
async fn on_user(_: u64) {}

fn main() {}
