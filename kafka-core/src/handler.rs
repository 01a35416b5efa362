//! A handler: the user's function, the topics it is for, and the options it was given.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Batch, BatchOptions, BatchResult, IntoBatchOutcome};
use crate::change_filter::ChangeFilter;
use crate::decode_error::DecodeError;
use crate::engine::batch_lane::BatchLane;
use crate::engine::lane::{Lane, LaneDriver};
use crate::event::Operation;
use crate::extract::{FromBatchContext, FromContext, HandlerContext, Requirements};
use crate::failure::backoff::Retry;
use crate::failure::breaker::Breaker;
use crate::failure::policy::FailurePolicy;
use crate::outcome::{Failure, IntoOutcome, Outcome};
use crate::payload::FromRecord;
use crate::record::Record;
use crate::table::StartRow;

/// Which records wait for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ordering {
    /// Records of one key, one at a time and in order; different keys run side by side. Records without a key wait
    /// for nothing. The default.
    #[default]
    Key,
    /// Records of one partition, one at a time and in order.
    Partition,
    /// No record waits for another.
    None,
}

impl Ordering {
    /// The name in the attribute and in the start table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Partition => "partition",
            Self::None => "none",
        }
    }
}

/// Where a group that has no committed offset for a partition begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// At the oldest record. The default: nothing is missed.
    #[default]
    Earliest,
    /// At the end: only records that are written from now on. The offset is committed at once, so a crash before the
    /// first record misses nothing.
    Latest,
}

/// Where a handler stands in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the compiler names it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
}

impl Place {
    #[track_caller]
    fn of_caller() -> Self {
        let location = std::panic::Location::caller();
        Self {
            file: location.file(),
            line: location.line(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What a handler was told, before the environment is filled in.
#[derive(Clone, Debug)]
pub(crate) struct HandlerOptions {
    pub(crate) name: String,
    pub(crate) topics: Vec<String>,
    pub(crate) pattern: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) ordering: Ordering,
    pub(crate) concurrency: usize,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) on_failure: FailurePolicy,
    pub(crate) dead_letter: Option<String>,
    pub(crate) enabled_if: Option<String>,
    pub(crate) start: Start,
    pub(crate) max_payload: Option<usize>,
    pub(crate) batch: Option<BatchOptions>,
    pub(crate) breaker: Breaker,
    pub(crate) retry_topics: Vec<Duration>,
    /// `None`: all.
    pub(crate) operations: Option<Vec<Operation>>,
    /// `None`: whatever an update changed.
    pub(crate) changed: Option<Vec<String>>,
}

impl HandlerOptions {
    /// Most calls in flight of one handler in one process, unless it says otherwise.
    pub(crate) const CONCURRENCY: usize = 256;

    pub(crate) fn new(name: String, topics: Vec<String>) -> Self {
        Self {
            name,
            topics,
            pattern: None,
            group: None,
            ordering: Ordering::Key,
            concurrency: Self::CONCURRENCY,
            timeout: None,
            retry: Retry::DEFAULT,
            on_failure: FailurePolicy::DeadLetter,
            dead_letter: None,
            enabled_if: None,
            start: Start::Earliest,
            max_payload: None,
            batch: None,
            breaker: Breaker::DEFAULT,
            retry_topics: Vec::new(),
            operations: None,
            changed: None,
        }
    }

    /// Returns what the handler wants of a stream of changes; `None`: everything.
    pub(crate) fn filter(&self) -> Option<ChangeFilter> {
        ChangeFilter::new(self.operations.as_deref(), self.changed.as_deref())
    }
}

type DriverFn = Arc<dyn Fn() -> Box<dyn LaneDriver> + Send + Sync>;

/// A function that handles the records of one or more topics.
///
/// `#[topic_handler]` makes one for each function it stands on; [`Handler::new`] makes one by hand. The options are
/// those of the attribute.
///
/// ```
/// use std::time::Duration;
/// use kafka_core::{FailurePolicy, Handler, Ordering};
///
/// let fulfil = Handler::new("orders.events", |order: serde_json::Value| async move {
///     println!("order {}", order["id"]);
///     Ok::<_, std::io::Error>(())
/// })
/// .ordering(Ordering::Partition)
/// .timeout(Duration::from_secs(5))
/// .on_failure(FailurePolicy::Stop);
/// ```
#[derive(Clone)]
pub struct Handler {
    pub(crate) options: HandlerOptions,
    pub(crate) place: Place,
    pub(crate) requires: fn(&mut Requirements),
    /// What the driver is made for, whatever the options say.
    pub(crate) takes_batches: bool,
    driver: DriverFn,
}

impl Handler {
    /// Makes a handler of an async function or closure, for one topic.
    ///
    /// The payload and the extractors must be owned: a payload that borrows from the record (`Event<'_>`) needs
    /// `#[topic_handler]`, since the compiler cannot prove it for a function it does not see.
    #[track_caller]
    pub fn new<Args, F>(topic: impl Into<String>, function: F) -> Self
    where
        F: HandlerFn<Args>,
        Args: 'static,
    {
        let topic = topic.into();
        let function = Arc::new(function);
        Self {
            options: HandlerOptions::new(short_name::<F>(&topic), vec![topic]),
            place: Place::of_caller(),
            requires: F::requires,
            takes_batches: false,
            driver: Arc::new(move || {
                let function = Arc::clone(&function);
                Box::new(Lane::new(move |record, cx| {
                    F::call(Arc::clone(&function), record, cx)
                }))
            }),
        }
    }

    /// Makes a handler of an async function or closure that takes many records of a partition at a time, for one topic.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kafka_core::{Batch, Handler};
    ///
    /// let index = Handler::batch("orders.events", |orders: Batch<serde_json::Value>| async move {
    ///     println!("{} orders of partition {}", orders.len(), orders.partition());
    ///     Ok::<_, std::io::Error>(())
    /// })
    /// .batch_size(1000)
    /// .linger(Duration::from_millis(200));
    /// ```
    #[track_caller]
    pub fn batch<Args, F>(topic: impl Into<String>, function: F) -> Self
    where
        F: BatchHandlerFn<Args>,
        Args: 'static,
    {
        let topic = topic.into();
        let function = Arc::new(function);
        let mut options = HandlerOptions::new(short_name::<F>(&topic), vec![topic]);
        options.batch = Some(BatchOptions::DEFAULT);
        Self {
            options,
            place: Place::of_caller(),
            requires: F::requires,
            takes_batches: true,
            driver: Arc::new(move || {
                let function = Arc::clone(&function);
                Box::new(BatchLane::new(F::decode, move |batch, cx| {
                    F::call(Arc::clone(&function), batch, cx)
                }))
            }),
        }
    }

    /// Makes a handler of all topics whose names match a pattern: an extended regular expression that begins with `^`.
    /// A topic that a handler names in the same group goes to that one. The group's own dead letter topics and retry
    /// topics are not matched: name them.
    ///
    /// ```
    /// # use kafka_core::{Handler, Raw, RecordMetadata};
    /// let audit = Handler::matching(r"^auth\.public\..*$", |_: Raw, record: RecordMetadata| async move {
    ///     println!("{}", record.topic());
    /// });
    /// ```
    #[track_caller]
    pub fn matching<Args, F>(pattern: impl Into<String>, function: F) -> Self
    where
        F: HandlerFn<Args>,
        Args: 'static,
    {
        let pattern = pattern.into();
        Self::new(pattern.clone(), function).instead(pattern)
    }

    /// Makes a handler of batches of all topics whose names match a pattern, as [`matching`](Self::matching) does of single
    /// records. The records of a batch are of one topic.
    #[track_caller]
    pub fn batch_matching<Args, F>(pattern: impl Into<String>, function: F) -> Self
    where
        F: BatchHandlerFn<Args>,
        Args: 'static,
    {
        let pattern = pattern.into();
        Self::batch(pattern.clone(), function).instead(pattern)
    }

    /// Takes a pattern instead of the topics.
    fn instead(mut self, pattern: String) -> Self {
        self.options.topics.clear();
        self.options.pattern = Some(pattern);
        self
    }

    pub(crate) fn from_parts(
        options: HandlerOptions,
        place: Place,
        requires: fn(&mut Requirements),
        driver: fn() -> Box<dyn LaneDriver>,
    ) -> Self {
        Self {
            takes_batches: options.batch.is_some(),
            options,
            place,
            requires,
            driver: Arc::new(driver),
        }
    }

    pub(crate) fn lane_driver(&self) -> Box<dyn LaneDriver> {
        (self.driver)()
    }

    /// The row of the start table for one topic or pattern.
    pub(crate) fn start_row(&self, topic: &str, group: &str) -> StartRow {
        StartRow {
            topic: topic.to_owned(),
            group: group.to_owned(),
            handler: self.options.name.clone(),
            batch: self
                .options
                .batch
                .map(|batch| format!("{}, {:?}", batch.max, batch.linger)),
            filter: self.options.filter().map(|filter| filter.to_string()),
            ordering: self.options.ordering.as_str(),
            on_failure: self.options.on_failure.as_str().to_owned(),
            place: self.place.to_string(),
        }
    }

    /// Returns the handler's name: the function's, unless it was given another.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns the topics as written, `${…}` not yet filled in.
    pub fn topics(&self) -> &[String] {
        &self.options.topics
    }

    /// Returns where the handler stands in the source.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Names the handler in logs, metrics and the start table.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
    }

    /// Adds a topic.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.options.topics.push(topic.into());
        self
    }

    /// Puts the handler into a consumer group of its own. Default: the runtime's group id.
    #[must_use]
    pub fn group(mut self, group_id: impl Into<String>) -> Self {
        self.options.group = Some(group_id.into());
        self
    }

    /// Sets which records wait for each other. Default: [`Ordering::Key`].
    #[must_use]
    pub fn ordering(mut self, ordering: Ordering) -> Self {
        self.options.ordering = ordering;
        self
    }

    /// Sets how many calls may be in flight in this process. Default 256; 0 is an error at start.
    #[must_use]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.options.concurrency = calls;
        self
    }

    /// Bounds one attempt (of a batch: the call for all of it). Default: no bound. A call that takes longer is dropped where
    /// it stands, which does not undo what it did.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Sets how a failed record is tried again. Default: [`Retry::DEFAULT`].
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = retry;
        self
    }

    /// Sets what becomes of a record after its last attempt. Default: [`FailurePolicy::DeadLetter`].
    #[must_use]
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.options.on_failure = policy;
        self
    }

    /// Names the dead letter topic. Default: `{group}.{topic}.dlq`.
    #[must_use]
    pub fn dead_letter(mut self, topic: impl Into<String>) -> Self {
        self.options.dead_letter = Some(topic.into());
        self
    }

    /// Registers the handler only if this environment variable is `true`, `1`, `yes` or `on` at start.
    #[must_use]
    pub fn enabled_if(mut self, variable: impl Into<String>) -> Self {
        self.options.enabled_if = Some(variable.into());
        self
    }

    /// Sets where a group without a committed offset begins. Default: [`Start::Earliest`].
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.options.start = start;
        self
    }

    /// Parks a record that has failed `retry` times in retry topics, for these times, shortest first: each gives it one
    /// more attempt, then it goes to the failure policy. Later records of its key follow it, so order holds; other keys
    /// go on. The topics are `{group}.{topic}.retry.{wait}`. Default: none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kafka_core::{Handler, Raw};
    ///
    /// let handler = Handler::new("orders", |_: Raw| async {})
    ///     .retry_topics([Duration::from_secs(60), Duration::from_secs(600)]);
    /// ```
    #[must_use]
    pub fn retry_topics(mut self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.options.retry_topics = waits.into_iter().collect();
        self
    }

    /// Sets when the handler is taken to be failing as a whole, and no longer fed. Default: [`Breaker::DEFAULT`].
    #[must_use]
    pub fn breaker(mut self, breaker: Breaker) -> Self {
        self.options.breaker = breaker;
        self
    }

    /// Sends larger values (in bytes) to the failure policy without decoding them. Default: no limit.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.options.max_payload = Some(bytes);
        self
    }

    /// Takes only change events of these operations: Debezium's, in its envelope (`op`) or flattened (`__op`,
    /// `__deleted`). Default: all. None at all, or [`Operation::Other`], is an error at start.
    ///
    /// The others are acked without a call: not decoded, never a failure, never part of a batch
    /// ([`Event::Filtered`](crate::Event::Filtered), [`PartitionStatus::filtered`](crate::PartitionStatus::filtered)). A
    /// tombstone, which follows each delete, is taken if deletes are. What cannot be told passes: what is no change event,
    /// or has an operation that this version does not know. So the option does nothing for other payloads than events,
    /// but that their null values are tombstones.
    ///
    /// A change of the primary key, or of the index of `REPLICA IDENTITY USING INDEX`, is a delete and a create, not an
    /// update.
    ///
    /// ```
    /// use kafka_core::{Change, DatabaseEvent, Handler, Operation};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct User { email: String }
    ///
    /// let welcome = Handler::new("auth.public.users", |event: DatabaseEvent<User>| async move {
    ///     if let Change::Create { after } = event.change {
    ///         println!("welcome, {}", after.email);
    ///     }
    /// })
    /// .operations([Operation::Create]);
    /// ```
    #[must_use]
    pub fn operations(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.options.operations = Some(operations.into_iter().collect());
        self
    }

    /// Takes an update only if one of these columns has another value than before. Default: all updates. No column at all,
    /// or one without a name, is an error at start, and so is one where [`operations`](Self::operations) leaves updates
    /// out.
    ///
    /// Other operations pass: leave them out with [`operations`](Self::operations). What is left out is acked without a
    /// call, as there. Names are those of the JSON, exactly; values are compared as the connector has written them.
    ///
    /// An update also passes where nobody can know:
    /// - it has no old row. **PostgreSQL sends one only under `REPLICA IDENTITY FULL`**; under another identity, only a
    ///   column whose large value the update did not touch (TOAST) is known to be unchanged;
    /// - a column is missing from one of the rows, perhaps because its name is misspelt;
    /// - it is flattened (`ExtractNewRecordState`), and so has no old row.
    ///
    /// And it cannot see what the connector does not say: a NULL that became the column's default, or the other way round,
    /// is sent as the default before and after, unless `value.converter.replace.null.with.default=false`.
    ///
    /// ```
    /// # use kafka_core::{DatabaseEvent, Handler, Operation};
    /// # #[derive(serde::Deserialize)]
    /// # struct User { email: String }
    /// let confirm = Handler::new("auth.public.users", |event: DatabaseEvent<User>| async move {
    ///     println!("confirm {:?}", event.after().map(|user| &user.email));
    /// })
    /// .operations([Operation::Create, Operation::Update])
    /// .changed(["email"]);
    /// ```
    #[must_use]
    pub fn changed<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.options.changed = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the most records of a batch. Default 500, as many as Kafka's own consumer hands over at most; 0 is an error at
    /// start, and so is a handler that is not of [`Handler::batch`].
    #[must_use]
    pub fn batch_size(mut self, records: usize) -> Self {
        self.options.batch.get_or_insert_default().max = records;
        self
    }

    /// Sets how long an incomplete batch waits for more records, from its first one on; 0 takes what is there. Default
    /// 50 ms. A handler that is not of [`Handler::batch`] is an error at start.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.options.batch.get_or_insert_default().linger = linger;
        self
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("options", &self.options)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// The last part of a function's path; a closure is named after its topic.
fn short_name<F>(topic: &str) -> String {
    let path = std::any::type_name::<F>();
    match path.rsplit("::").next() {
        Some(name) if !name.contains(['{', '<', '>']) => name.to_owned(),
        _ => topic.to_owned(),
    }
}

/// An async function or closure that can be a handler: an owned payload, then up to eight extractors.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a topic handler",
    note = "it takes an owned payload (`T: DeserializeOwned`, or `FromRecord`), then extractors, and returns a future \
            that is `Send` and gives `()`, `Outcome` or a `Result` of these",
    note = "annotate the closure's arguments with their types",
    note = "a payload that borrows from the record needs `#[topic_handler]`",
    note = "a function that takes a `Batch<T>` goes to `Handler::batch`"
)]
pub trait HandlerFn<Args>: Send + Sync + Sized + 'static {
    /// Declares what the extractors need.
    fn requires(requirements: &mut Requirements);

    /// Decodes a record, calls the function, and makes an outcome of what it returned.
    fn call(
        function: Arc<Self>,
        record: Record,
        cx: HandlerContext,
    ) -> impl Future<Output = Outcome> + Send + 'static;
}

macro_rules! handler_fn {
    ($($arg:ident $name:ident),*) => {
        impl<Func, Fut, Payload, $($arg,)*> HandlerFn<(Payload, $($arg,)*)> for Func
        where
            Func: Fn(Payload, $($arg,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoOutcome> + Send,
            Payload: for<'m> FromRecord<'m>,
            $($arg: for<'m> FromContext<'m>,)*
        {
            fn requires(_requirements: &mut Requirements) {
                $($arg::requires(_requirements);)*
            }

            fn call(
                function: Arc<Self>,
                record: Record,
                cx: HandlerContext,
            ) -> impl Future<Output = Outcome> + Send + 'static {
                async move {
                    let call = || -> Result<Fut, DecodeError> {
                        let payload = Payload::from_record(&record)?;
                        $(let $name = $arg::from_context(&record, &cx)?;)*
                        Ok(function(payload, $($name,)*))
                    };
                    match call() {
                        Ok(future) => future.await.into_outcome(&cx),
                        Err(error) => Outcome::Fail(Failure::from(error)),
                    }
                }
            }
        }
    };
}

handler_fn!();
handler_fn!(A a);
handler_fn!(A a, B b);
handler_fn!(A a, B b, C c);
handler_fn!(A a, B b, C c, D d);
handler_fn!(A a, B b, C c, D d, E e);
handler_fn!(A a, B b, C c, D d, E e, G g);
handler_fn!(A a, B b, C c, D d, E e, G g, H h);
handler_fn!(A a, B b, C c, D d, E e, G g, H h, I i);

/// An async function or closure that can be a batch handler: a [`Batch`] of an owned payload, then up to four extractors
/// of a batch.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a batch handler",
    note = "it takes a `Batch<T>` of an owned payload (`T: DeserializeOwned`, or `FromRecord`), then extractors of a batch \
            (`State<T>`, `KafkaProducer`, `CancellationToken`), and returns a future that is `Send` and gives `()`, \
            `BatchOutcome` or a `Result` of these",
    note = "annotate the closure's arguments with their types",
    note = "a function that takes one record goes to `Handler::new`"
)]
pub trait BatchHandlerFn<Args>: Send + Sync + Sized + 'static {
    /// What a record is decoded to.
    type Payload: Send + 'static;

    /// Declares what the extractors need.
    fn requires(requirements: &mut Requirements);

    /// Decodes a record.
    ///
    /// # Errors
    /// The record cannot be decoded: it goes to the failure policy, and the function never sees it.
    fn decode(record: &Record) -> Result<Self::Payload, DecodeError>;

    /// Calls the function, and makes verdicts of what it returned.
    #[doc(hidden)]
    fn call(
        function: Arc<Self>,
        batch: Batch<Self::Payload>,
        cx: HandlerContext,
    ) -> impl Future<Output = BatchResult> + Send + 'static;
}

macro_rules! batch_handler_fn {
    ($($arg:ident $name:ident),*) => {
        impl<Func, Fut, Payload, $($arg,)*> BatchHandlerFn<(Payload, $($arg,)*)> for Func
        where
            Func: Fn(Batch<Payload>, $($arg,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoBatchOutcome> + Send,
            Payload: for<'m> FromRecord<'m> + Send + 'static,
            $($arg: FromBatchContext,)*
        {
            type Payload = Payload;

            fn requires(_requirements: &mut Requirements) {
                $($arg::requires(_requirements);)*
            }

            fn decode(record: &Record) -> Result<Payload, DecodeError> {
                Payload::from_record(record)
            }

            fn call(
                function: Arc<Self>,
                batch: Batch<Payload>,
                cx: HandlerContext,
            ) -> impl Future<Output = BatchResult> + Send + 'static {
                async move {
                    let call = || -> Result<Fut, DecodeError> {
                        $(let $name = $arg::from_batch_context(&cx)?;)*
                        Ok(function(batch, $($name,)*))
                    };
                    call()?.await.into_batch_outcome(&cx)
                }
            }
        }
    };
}

batch_handler_fn!();
batch_handler_fn!(A a);
batch_handler_fn!(A a, B b);
batch_handler_fn!(A a, B b, C c);
batch_handler_fn!(A a, B b, C c, D d);
