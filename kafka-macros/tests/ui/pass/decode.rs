use kafka_runtime::{DecodeError, Headers, Record, topic_handler};

struct Owned(usize);

struct Borrowed<'m>(&'m [u8]);

mod decoders {
    use super::{Borrowed, DecodeError, Owned, Record};

    pub fn owned(record: &Record) -> Result<Owned, DecodeError> {
        Ok(Owned(record.value().map_or(0, <[u8]>::len)))
    }

    pub fn borrowed<'m>(record: &'m Record) -> Result<Borrowed<'m>, DecodeError> {
        record.value().map(Borrowed).ok_or(DecodeError::custom("null"))
    }

    pub fn generic<T: From<u8>>(_: &Record) -> Result<T, DecodeError> {
        Ok(T::from(7))
    }

    pub fn bytes(record: &Record) -> Result<&[u8], DecodeError> {
        Ok(record.value().unwrap_or_default())
    }
}

#[topic_handler("owned", decode = decoders::owned)]
async fn owned(payload: Owned, _: Headers) {
    let _ = payload.0;
}

#[topic_handler("borrowed", decode = crate::decoders::borrowed)]
async fn borrowed(payload: Borrowed<'_>) {
    tokio::task::yield_now().await;
    let _ = payload.0.len();
}

#[topic_handler("generic", decode = decoders::generic::<u64>)]
async fn generic(_: u64) {}

#[topic_handler("bytes", decode = self::decoders::bytes)]
async fn bytes(payload: &[u8]) {
    tokio::task::yield_now().await;
    let _ = payload.len();
}

fn main() {}
