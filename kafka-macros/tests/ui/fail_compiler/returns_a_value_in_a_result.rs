use kafka_runtime::{Raw, topic_handler};

#[topic_handler("users")]
async fn on_user(_: Raw) -> Result<u32, std::io::Error> {
    Ok(7)
}

fn main() {}
