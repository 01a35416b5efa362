use kafka_runtime::{DecodeError, Record, topic_handler};

fn decode_user(_: &Record) -> Result<u32, DecodeError> {
    Ok(7)
}

#[topic_handler("users", decode = decode_user)]
async fn on_user(_: u64) {}

fn main() {}
