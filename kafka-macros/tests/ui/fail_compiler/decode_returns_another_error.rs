use kafka_runtime::{Record, topic_handler};

fn decode_user(_: &Record) -> Result<u64, std::io::Error> {
    Ok(7)
}

#[topic_handler("users", decode = decode_user)]
async fn on_user(_: u64) {}

fn main() {}
