use kafka_runtime::{DecodeError, Record, topic_handler};

fn decode_user(_: &Record) -> Result<std::rc::Rc<u8>, DecodeError> {
    Ok(7.into())
}

#[topic_handler("users", decode = decode_user)]
async fn on_user(payload: std::rc::Rc<u8>) {
    tokio::task::yield_now().await;
    drop(payload);
}

fn main() {}
