use std::borrow::Cow;

use kafka_runtime::{
    Batch, BatchOutcome, CancellationToken, Classify, DatabaseEvent, DecodeError, ErrorClass, FromBatchContext,
    HandlerContext, JsonOrText, KafkaProducer, Raw, Record, State, Text, topic_handler,
};

#[derive(serde::Deserialize)]
struct User {
    email: String,
}

#[derive(Debug, serde::Deserialize)]
struct UserKey {
    id: i64,
}

#[derive(Clone)]
struct Pool;

#[derive(Debug)]
struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("declined")
    }
}

impl std::error::Error for Declined {}

impl Classify for Declined {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

struct Group(String);

impl FromBatchContext for Group {
    fn from_batch_context(cx: &HandlerContext) -> Result<Self, DecodeError> {
        Ok(Self(cx.group_id().to_owned()))
    }
}

fn length(record: &Record) -> Result<usize, DecodeError> {
    Ok(record.value().map_or(0, <[u8]>::len))
}

#[topic_handler("a", batch(max = 500, linger = "50ms"), concurrency = 4)]
async fn all_extractors(
    batch: Batch<User>,
    db: State<Pool>,
    producer: KafkaProducer,
    cancel: CancellationToken,
    Group(group): Group,
) -> BatchOutcome {
    let mut outcome = BatchOutcome::ok();
    for (index, user) in batch.iter().enumerate() {
        match user.key_as::<UserKey>() {
            Ok(key) if key.id == 7 => outcome.skip(index, "the seventh"),
            Ok(_) => {}
            Err(error) => outcome.fail(index, error),
        }
        // Held across an await.
        tokio::task::yield_now().await;
        let _ = (user.email.len(), user.offset(), user.headers().len(), user.attempt(), user.timestamp());
    }
    let _ = (batch.topic(), batch.partition(), &*db, &producer, cancel.is_cancelled(), group);
    outcome
}

#[topic_handler("b", batch)]
async fn nothing(_: Batch<DatabaseEvent<User>>) {}

#[topic_handler("c", batch())]
async fn tombstones(batch: Batch<Option<User>>) -> anyhow::Result<()> {
    for record in batch {
        let key = record.key().map(<[u8]>::to_vec);
        let Some(user) = record.into_payload() else {
            continue;
        };
        drop((key, user));
    }
    Ok(())
}

#[topic_handler("d", batch(max = 1))]
async fn own_error(_: Batch<Raw>) -> Result<BatchOutcome, Declined> {
    Err(Declined)
}

#[topic_handler("e", batch(linger = "0ms"), decode = length)]
async fn decoded(batch: Batch<usize>) -> BatchOutcome {
    batch.payloads().map(|length| if *length > 0 { Ok(()) } else { Err(Declined) }).collect()
}

#[topic_handler("f", "g", batch(max = 10_000))]
async fn text(batch: Batch<JsonOrText<Cow<'static, str>>>) -> anyhow::Result<BatchOutcome> {
    let _: Vec<_> = batch.into_payloads().collect();
    Ok(BatchOutcome::ok())
}

#[topic_handler(pattern = r"^h\.", batch, ordering = "partition", on_failure = "stop")]
async fn path(_: kafka_runtime::Batch<Text>) {}

fn main() {
    assert_eq!(kafka_runtime::registered().len(), 7);
}
