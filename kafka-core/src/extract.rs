//! What a handler's further arguments can be: [`FromContext`], and the extractors that come with it.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, Error as ValueError};

use crate::connect;
use crate::decode_error::DecodeError;
use crate::field;
use crate::outcome::Classifiers;
use crate::payload::utf8;
use crate::producer::KafkaProducer;
use crate::record::{Headers, Record, RecordPlace, Timestamp};

/// An argument of a handler after the payload.
///
/// Implemented for [`Key`], [`Headers`], [`RecordMetadata`], [`State`], [`KafkaProducer`] and
/// [`CancellationToken`]; implement it for your own to take what you need apart in one place:
///
/// ```
/// use kafka_core::{DecodeError, FromContext, HandlerContext, Record};
///
/// struct TraceId(Option<String>);
///
/// impl FromContext<'_> for TraceId {
///     fn from_context(record: &Record, _: &HandlerContext) -> Result<Self, DecodeError> {
///         let headers = record.headers();
///         let value = headers.get("traceparent").map(String::from_utf8_lossy);
///         Ok(Self(value.map(Into::into)))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a topic handler after the payload",
    label = "not an extractor",
    note = "the payload is the first argument; after it come, in any order: `Key<T>`, `Headers`, `RecordMetadata`, \
            `State<T>`, `KafkaProducer`, `CancellationToken`, or a type with `impl FromContext<'_>`"
)]
pub trait FromContext<'m>: Sized {
    /// Declares what must exist before the runtime starts; [`State`] declares its type.
    fn requires(_requirements: &mut Requirements) {}

    /// Takes the argument out of a record and the context of the call.
    ///
    /// # Errors
    /// An argument that the record cannot give: the record goes to the failure policy, and is not retried.
    fn from_context(record: &'m Record, cx: &'m HandlerContext) -> Result<Self, DecodeError>;
}

/// An argument of a batch handler after the [`Batch`](crate::Batch): what all of its records share.
///
/// Implemented for [`State`], [`KafkaProducer`] and [`CancellationToken`]. Key, headers and metadata are of one record:
/// they are on the batch's records.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a batch handler after the batch",
    label = "not an extractor of a batch",
    note = "after the `Batch<T>` come, in any order: `State<T>`, `KafkaProducer`, `CancellationToken`, or a type with \
            `impl FromBatchContext`",
    note = "key, headers, offset, timestamp and attempt are on each record of the batch: `record.key_as::<K>()`, \
            `record.headers()`, `record.offset()`"
)]
pub trait FromBatchContext: Sized {
    /// Declares what must exist before the runtime starts; [`State`] declares its type.
    fn requires(_requirements: &mut Requirements) {}

    /// Takes the argument out of the context of the call.
    ///
    /// # Errors
    /// An argument that the runtime cannot give: the call fails for every record of the batch.
    fn from_batch_context(cx: &HandlerContext) -> Result<Self, DecodeError>;
}

/// What a handler needs from the runtime: collected before it starts, so that what is missing is an error then.
#[derive(Debug, Default)]
pub struct Requirements {
    states: Vec<(TypeId, &'static str)>,
}

impl Requirements {
    /// Requires that `Runtime::builder().state(..)` was given a `T`.
    pub fn state<T: 'static>(&mut self) {
        self.states.push((TypeId::of::<T>(), type_name::<T>()));
    }

    /// Returns the names of the states that are required and not there.
    pub(crate) fn missing_states<'a>(
        &'a self,
        states: &'a States,
    ) -> impl Iterator<Item = &'static str> + 'a {
        self.states
            .iter()
            .filter(|(id, _)| !states.0.contains_key(id))
            .map(|(_, name)| *name)
    }
}

/// The values given to `Runtime::builder().state(..)`, one of each type.
#[derive(Default, Clone)]
pub(crate) struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    /// Adds a value; false if there was one of this type.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> bool {
        self.0.insert(TypeId::of::<T>(), Arc::new(value)).is_none()
    }

    fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref::<T>().cloned()
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

/// What all calls of a runtime share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services {
    pub(crate) states: States,
    pub(crate) classifiers: Classifiers,
    pub(crate) producer: Option<KafkaProducer>,
}

/// What the calls of one lane share: it lives as long as the assignment of its partition.
#[derive(Debug)]
pub(crate) struct LaneContext {
    pub(crate) services: Arc<Services>,
    pub(crate) group_id: Arc<str>,
    pub(crate) handler: Arc<str>,
    pub(crate) cancel: CancellationToken,
    pub(crate) epoch: u64,
}

/// What one call of a handler can reach besides its record.
#[derive(Debug, Clone)]
pub struct HandlerContext {
    lane: Arc<LaneContext>,
    attempt: u32,
}

impl HandlerContext {
    pub(crate) fn new(lane: &Arc<LaneContext>, attempt: u32) -> Self {
        Self {
            lane: Arc::clone(lane),
            attempt,
        }
    }

    /// A context outside of any runtime, for the unit test of an extractor: no state, no producer, attempt 1.
    pub fn for_test() -> Self {
        let lane = LaneContext {
            services: Arc::default(),
            group_id: "test".into(),
            handler: "test".into(),
            cancel: CancellationToken::default(),
            epoch: 0,
        };
        Self::new(&Arc::new(lane), 1)
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_lane(mut self, change: impl FnOnce(&mut LaneContext)) -> Self {
        let lane = &self.lane;
        let mut lane = LaneContext {
            services: Arc::clone(&lane.services),
            group_id: Arc::clone(&lane.group_id),
            handler: Arc::clone(&lane.handler),
            cancel: lane.cancel.clone(),
            epoch: lane.epoch,
        };
        change(&mut lane);
        self.lane = Arc::new(lane);
        self
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn set_attempt(&mut self, attempt: u32) {
        self.attempt = attempt;
    }

    /// Returns the consumer group.
    pub fn group_id(&self) -> &str {
        &self.lane.group_id
    }

    /// Returns the handler's name.
    pub fn handler(&self) -> &str {
        &self.lane.handler
    }

    /// Returns the number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.lane.epoch
    }

    pub(crate) fn classifiers(&self) -> &Classifiers {
        &self.lane.services.classifiers
    }
}

/// The record's key, decoded.
///
/// The key is read as JSON (Debezium's keys are JSON objects); a key that is not, or that does not fit `T` as JSON,
/// is read as its text, so `Key<String>` takes both `"a"` and a bare `a`, and `Key<i64>` takes `42`. A null key needs
/// `Key<Option<T>>`.
///
/// ```
/// # use kafka_core::{FromContext, HandlerContext, Key, Record};
/// #[derive(serde::Deserialize)]
/// struct UserKey { id: i64 }
///
/// let record = Record::for_test("users", Some(br#"{"id":7}"#), None);
/// let Key(key) = Key::<UserKey>::from_context(&record, &HandlerContext::for_test())?;
/// assert_eq!(key.id, 7);
/// # Ok::<(), kafka_core::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key<T>(pub T);

impl<'m, T: Deserialize<'m>> FromContext<'m> for Key<T> {
    fn from_context(record: &'m Record, _: &'m HandlerContext) -> Result<Self, DecodeError> {
        decode_key(record).map(Self)
    }
}

/// Decodes a record's key: as JSON, with or without its schema, else as its text.
pub(crate) fn decode_key<'m, T: Deserialize<'m>>(record: &'m Record) -> Result<T, DecodeError> {
    let wanted = type_name::<T>();
    let Some(bytes) = record.key() else {
        return serde_json::from_str("null").map_err(|_| DecodeError::NullKey { wanted });
    };
    let text = utf8("key", bytes)?;
    let json = connect::payload(text).unwrap_or(text);
    field::decode("key", json).or_else(|error| {
        let bare = BorrowedStrDeserializer::<ValueError>::new(text);
        T::deserialize(bare).map_err(|_| error)
    })
}

impl<T> Deref for Key<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'m> FromContext<'m> for Headers {
    fn from_context(record: &'m Record, _: &'m HandlerContext) -> Result<Self, DecodeError> {
        Ok(record.headers())
    }
}

/// Where a record came from, and which attempt this is.
#[derive(Debug, Clone)]
pub struct RecordMetadata {
    record: Record,
    cx: HandlerContext,
}

impl RecordMetadata {
    /// Metadata of a record outside of any runtime; for calling a handler in a unit test.
    pub fn for_test(record: &Record) -> Self {
        Self {
            record: record.clone(),
            cx: HandlerContext::for_test(),
        }
    }

    /// Metadata as the context has it: its group, attempt and epoch.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of_context(record: &Record, cx: &HandlerContext) -> Self {
        Self {
            record: record.clone(),
            cx: cx.clone(),
        }
    }

    /// The same at a later attempt, from 1; for calling a handler in a unit test.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.cx.attempt = attempt;
        self
    }

    /// Returns the topic's name.
    pub fn topic(&self) -> &str {
        self.record.topic()
    }

    /// Returns the number of the partition.
    pub fn partition(&self) -> i32 {
        self.record.partition()
    }

    /// Returns the record's offset.
    pub fn offset(&self) -> i64 {
        self.record.offset().0
    }

    /// Returns topic, partition and offset: the record's identity, for writes that must not happen twice (see
    /// [`RecordPlace`]).
    pub fn place(&self) -> RecordPlace {
        self.record.place()
    }

    /// Returns the record's timestamp.
    pub fn timestamp(&self) -> Timestamp {
        self.record.timestamp()
    }

    /// Returns the number of this attempt, from 1. It starts again at 1 when another member takes the partition over.
    pub fn attempt(&self) -> u32 {
        self.cx.attempt
    }

    /// Returns which assignment of the partition this call belongs to: it rises with every assignment that this member
    /// gets, and a call of an earlier one is never started. Members count for themselves: to order writes of several
    /// processes, compare offsets.
    pub fn epoch(&self) -> u64 {
        self.cx.epoch()
    }

    /// Returns the consumer group that handles the record.
    pub fn group(&self) -> &str {
        self.cx.group_id()
    }
}

impl<'m> FromContext<'m> for RecordMetadata {
    fn from_context(record: &'m Record, cx: &'m HandlerContext) -> Result<Self, DecodeError> {
        Ok(Self {
            record: record.clone(),
            cx: cx.clone(),
        })
    }
}

/// A clone of the `T` that was given to `Runtime::builder().state(..)`.
///
/// A handler that takes a state nobody gave is an error at start, with the handler's place.
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'m, T: Clone + Send + Sync + 'static> FromContext<'m> for State<T> {
    fn requires(requirements: &mut Requirements) {
        requirements.state::<T>();
    }

    fn from_context(_: &'m Record, cx: &'m HandlerContext) -> Result<Self, DecodeError> {
        Self::from_batch_context(cx)
    }
}

impl<T: Clone + Send + Sync + 'static> FromBatchContext for State<T> {
    fn requires(requirements: &mut Requirements) {
        requirements.state::<T>();
    }

    fn from_batch_context(cx: &HandlerContext) -> Result<Self, DecodeError> {
        cx.lane.services.states.get().map(Self).ok_or_else(|| {
            DecodeError::custom(format!("no state of type `{}` was given", type_name::<T>()))
        })
    }
}

impl<'m> FromContext<'m> for KafkaProducer {
    fn from_context(_: &'m Record, cx: &'m HandlerContext) -> Result<Self, DecodeError> {
        Self::from_batch_context(cx)
    }
}

impl FromBatchContext for KafkaProducer {
    fn from_batch_context(cx: &HandlerContext) -> Result<Self, DecodeError> {
        cx.lane
            .services
            .producer
            .clone()
            .ok_or(DecodeError::custom("this runtime has no producer"))
    }
}

/// Fires when the partition is taken away or the process stops, shortly before the call is dropped.
///
/// A handler that ignores it is given the time of `drain_timeout` to finish; then its future is dropped where it
/// stands, and the record is handled again by whoever owns the partition next.
#[derive(Debug, Clone, Default)]
pub struct CancellationToken(tokio_util::sync::CancellationToken);

impl CancellationToken {
    /// A token that fires when [`cancel`](Self::cancel) is called; for calling a handler in a unit test.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fires the token.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// True once it fired.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it fires. Cancel-safe.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }
}

impl<'m> FromContext<'m> for CancellationToken {
    fn from_context(_: &'m Record, cx: &'m HandlerContext) -> Result<Self, DecodeError> {
        Self::from_batch_context(cx)
    }
}

impl FromBatchContext for CancellationToken {
    fn from_batch_context(cx: &HandlerContext) -> Result<Self, DecodeError> {
        Ok(cx.lane.cancel.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn key<T: for<'m> Deserialize<'m>>(bytes: Option<&[u8]>) -> Result<T, DecodeError> {
        let record = Record::for_test("t", bytes, None);
        Key::from_context(&record, &HandlerContext::for_test()).map(|Key(key)| key)
    }

    #[test]
    fn a_key_is_json_or_its_text() {
        assert_eq!(key::<String>(Some(br#""a""#)), Ok("a".into()));
        assert_eq!(key::<String>(Some(b"a-7")), Ok("a-7".into()));
        assert_eq!(key::<String>(Some(b"42")), Ok("42".into()));
        assert_eq!(key::<i64>(Some(b"42")), Ok(42));
        assert_eq!(key::<Option<i64>>(None), Ok(None));
        assert!(matches!(
            key::<i64>(None),
            Err(DecodeError::NullKey { wanted: "i64" })
        ));
        assert!(matches!(
            key::<i64>(Some(b"a-7")),
            Err(DecodeError::NotJson { part: "key", .. })
        ));
    }

    #[test]
    fn a_borrowed_key_points_into_the_record() {
        let record = Record::for_test("t", Some(b"user-7"), None);
        let cx = HandlerContext::for_test();

        let Key(key) = Key::<&str>::from_context(&record, &cx).unwrap();

        assert!(matches!(Cow::from(key), Cow::Borrowed("user-7")));
    }

    #[test]
    fn a_missing_state_is_named() {
        let mut requirements = Requirements::default();
        <State<String> as FromContext<'_>>::requires(&mut requirements);
        let mut states = States::default();

        assert_eq!(
            requirements.missing_states(&states).collect::<Vec<_>>(),
            ["alloc::string::String"]
        );
        states.insert(String::from("db"));
        assert_eq!(requirements.missing_states(&states).count(), 0);
    }
}
