use kafka_runtime::{
    CancellationToken, DatabaseEvent, DecodeError, FromContext, HandlerContext, Headers, KafkaProducer, Key, Record,
    RecordMetadata, State, topic_handler,
};

#[derive(serde::Deserialize)]
struct User {
    id: i64,
}

#[derive(serde::Deserialize)]
struct UserKey {
    id: i64,
}

#[derive(Clone)]
struct Pool;

struct TraceId(Option<String>);

impl FromContext<'_> for TraceId {
    fn from_context(record: &Record, _: &HandlerContext) -> Result<Self, DecodeError> {
        let headers = record.headers();
        Ok(Self(headers.get("traceparent").map(String::from_utf8_lossy).map(Into::into)))
    }
}

#[topic_handler("auth.public.users")]
async fn on_user(
    event: DatabaseEvent<User>,
    Key(UserKey { id }): Key<UserKey>,
    headers: Headers,
    metadata: RecordMetadata,
    State(_): State<Pool>,
    db: State<Pool>,
    Perhaps(mut producer): Perhaps<KafkaProducer>,
    cancel: CancellationToken,
    TraceId(trace): TraceId,
) -> anyhow::Result<()> {
    tokio::task::yield_now().await;
    let _ = producer.take();
    let _ = (event.after().map(|u| u.id), id, headers.len(), metadata.offset(), &*db, cancel.is_cancelled(), trace);
    Ok(())
}

struct Perhaps<T>(Option<T>);

impl<'m, T: FromContext<'m>> FromContext<'m> for Perhaps<T> {
    fn from_context(record: &'m Record, cx: &'m HandlerContext) -> Result<Self, DecodeError> {
        Ok(Self(T::from_context(record, cx).ok()))
    }
}

fn main() {}
