//! The attribute macros of `kafka-runtime`, which re-exports them. Services depend on `kafka-runtime` only.
//!
//! Three steps, a file each: `args` reads what stands in the parentheses, `model` and `signature` judge it, `expand`
//! prints. All mistakes of one function are reported at once (`errors`), each at the token to change. The function
//! itself is emitted as it came, whatever is wrong with it.
//!
//! ```text
//! #[topic_handler("users", group = "g")]  ->  args  ->  model      ->  expand  ->  async fn on_user(..) { .. }
//! async fn on_user(..) { .. }                           signature                  const _: () = { adapter, registration };
//! ```

mod args;
mod classify;
mod errors;
mod expand;
mod model;
mod signature;
mod values;

use proc_macro2::TokenStream;

use crate::errors::Errors;
use crate::model::HandlerModel;

/// Makes an async function the handler of one or more topics.
///
/// ```
/// use kafka_runtime::{DatabaseEvent, Headers, Key, topic_handler};
///
/// #[derive(serde::Deserialize)]
/// struct User { id: i64, email: String }
///
/// #[derive(serde::Deserialize)]
/// struct UserKey { id: i64 }
///
/// #[topic_handler("auth.public.users", group = "mailer", timeout = "30s", retry(attempts = 5))]
/// async fn on_user(event: DatabaseEvent<User>, Key(key): Key<UserKey>, headers: Headers) -> anyhow::Result<()> {
///     if let Some(user) = event.after() {
///         println!("{} {} ({} headers)", key.id, user.email, headers.len());
///     }
///     Ok(())
/// }
/// ```
///
/// The function stays as written: call it in a unit test without any Kafka. `kafka_runtime::run()` finds it through
/// the linker; a library crate that only defines handlers is linked only if the binary names it,
/// `use my_handlers as _;`.
///
/// # Arguments of the function
///
/// The first is the payload: any `T: serde::Deserialize` (JSON), owned or borrowed (`Event<'_>`), `Option<T>` if there
/// are tombstones, `DatabaseEvent<T>`, `Json<T>`, `JsonOrText<T>`, `Text`, `Raw`, `Record`, a type with
/// `impl FromRecord<'_>`, or whatever the `decode` option returns. After it come extractors in any order: `Key<T>`,
/// `Headers`, `RecordMetadata`, `State<T>`, `KafkaProducer`, `CancellationToken`, or a type with `impl FromContext<'_>`.
///
/// It returns `()`, `Outcome`, `Result<(), E>` or `Result<Outcome, E>`, for any `E` that converts into
/// `Box<dyn Error + Send + Sync>`: `anyhow::Error`, or an error of your own.
///
/// # Batches
///
/// With the option `batch`, a function takes many records at a time: a `Batch<T>` of any payload type that is owned. All
/// are of one topic-partition, and in its order.
///
/// ```
/// use kafka_runtime::{Batch, BatchOutcome, State, topic_handler};
///
/// #[derive(serde::Deserialize)]
/// struct User { id: i64, email: String }
///
/// # #[derive(Clone)]
/// # struct Index;
/// # impl Index { async fn put(&self, _: Vec<(i64, String)>) -> anyhow::Result<Vec<Result<(), String>>> { Ok(Vec::new()) } }
/// #[topic_handler("auth.public.users", batch(max = 500, linger = "50ms"))]
/// async fn on_users(batch: Batch<User>, index: State<Index>) -> anyhow::Result<BatchOutcome> {
///     let users = batch.into_payloads().map(|user| (user.id, user.email)).collect();
///     let results = index.put(users).await?;        // an error here is of the whole batch
///     Ok(results.into_iter().collect())             // a verdict for each record
/// }
/// ```
///
/// It returns `()`, `BatchOutcome`, `Result<(), E>` or `Result<BatchOutcome, E>`. A record whose verdict is a failure is
/// tried again alone, in a batch of one, and given up alone. An `Err`, a panic or a `timeout` says nothing about any one
/// record: each is tried again alone, at least once (even if the error is permanent, or `attempts = 1`), so that one
/// poison record cannot keep the others failing. A record that cannot be decoded never reaches the function, and its
/// key's later records wait until it is settled. The breaker counts each record's first verdict; while it asks for one
/// attempt, a batch is of one record.
///
/// The records of one key are in order within a batch; while a key has a record in a running batch, or one that failed
/// and is not settled, its later records wait, and other keys fill the next batch. With `ordering = "partition"` one batch
/// of a partition runs at a time, and none while a failed record is not settled. `concurrency` and `timeout` are about
/// calls, each with a whole batch.
///
/// Beside a batch a function takes `State<T>`, `KafkaProducer`, `CancellationToken`, or a type with
/// `impl FromBatchContext`. What is different for each record is on the records of the batch: `record.key_as::<K>()`,
/// `record.headers()`, `record.offset()`, `record.timestamp()`, `record.attempt()`.
///
/// # Change events
///
/// `ops` and `changed` choose among the change events of Debezium; the others are acked without a call, and counted.
///
/// ```
/// use kafka_runtime::{DatabaseEvent, topic_handler};
///
/// #[derive(serde::Deserialize)]
/// struct User { id: i64, email: String }
///
/// #[topic_handler("auth.public.users", ops = "c,u", changed = ["email"])]
/// async fn confirm(event: DatabaseEvent<User>) -> anyhow::Result<()> {
///     if let Some(user) = event.after() {
///         println!("confirm {}", user.email);
///     }
///     Ok(())
/// }
/// ```
///
/// They look at the bytes, whatever the payload's type: at Debezium's envelope, with or without its schema, or at `__op`
/// and `__deleted` of a flattened row. What cannot be known passes: what is no event, an operation that this version does
/// not know, and for `changed` an update without its old row (PostgreSQL sends one only under `REPLICA IDENTITY FULL`), with
/// a column missing, or flattened. A change of the primary key is a `d` and a `c`. More of this is at [`Handler::operations`]
/// and [`Handler::changed`].
///
/// # Options
///
/// | option | value | default |
/// |---|---|---|
/// | `"orders"`, … | topics | one, or `pattern` |
/// | `pattern = r"^orders\."` | regular expression that starts with `^`, instead of topics; the group's own dead letter and retry topics are left out | none |
/// | `group = "billing"` | consumer group | the runtime's group id |
/// | `ordering = "key"` | what waits for each other: the records of a `"key"`, of a `"partition"`, or `"none"` | `"key"` |
/// | `concurrency = 256` | most calls in flight of this handler in this process, from 1 | `256` |
/// | `timeout = "30s"` | duration of one attempt | no limit |
/// | `retry(attempts = 8, …)` | attempts in all, from 1; 1 is no retry | `8` |
/// | `retry(…, initial = "100ms")` | duration; longest first wait, doubled by each attempt | `"100ms"` |
/// | `retry(…, max = "30s")` | duration; longest wait, not shorter than `initial` | `"30s"` |
/// | `on_failure = "dead_letter"` | after the last attempt: `"dead_letter"`, `"skip"`, or `"stop"` the runtime | `"dead_letter"` |
/// | `dead_letter = "billing.dlq"` | dead letter topic; not with `"skip"` or `"stop"` | `{group}.{topic}.dlq` |
/// | `retry_topics = ["1m", "10m"]` | durations, each longer than the one before; a record that is out of attempts is parked for so long, with one more attempt after each wait; later records of its key follow it | none |
/// | `breaker(ratio = 0.8, …)` | share of first attempts that fail, above 0 and up to 1, from which on the handler is not fed until one succeeds | `0.8` |
/// | `breaker(…, records = 100)` | over how many records the share is taken, at least | `100` |
/// | `breaker = "off"` | feeds the handler whatever happens | the two above |
/// | `enabled_if = "ENABLE_BILLING"` | environment variable that must be `true`, `1`, `yes` or `on` at start | always enabled |
/// | `name = "billing"` | name in logs, metrics and the start table | the function's |
/// | `start = "earliest"` | where a group without a committed offset begins: `"earliest"` or `"latest"` | `"earliest"` |
/// | `max_payload = "1MiB"` | size; larger values go to the failure policy without being decoded | no limit |
/// | `batch` | the function takes a `Batch<T>` | one record a call |
/// | `batch(max = 500, …)` | most records of a batch, from 1 | `500`, as Kafka's `max.poll.records` |
/// | `batch(…, linger = "50ms")` | duration; how long an incomplete batch waits for more, from its first record on; `"0ms"` takes what is there | `"50ms"`: a busy topic fills a batch in less |
/// | `ops = "c,u"` | letters of Debezium's operations, commas between them: `c` create, `r` read, `u` update, `d` delete (and its tombstone), `t` truncate, `m` message; other change events are acked without a call | all |
/// | `changed = ["email", "name"]` | columns; an update is acked without a call if none of them has another value than before | all updates |
/// | `decode = path::to::decoder` | `fn(&Record) -> Result<T, DecodeError>` that makes the payload (of a batch: of each record); it may borrow from the record | the payload's type |
/// | `crate = path::to::reexport` | where `kafka_runtime` is, if under another name | `::kafka_runtime` |
///
/// A duration is a whole number and `ms`, `s`, `m` or `h`. A size is a whole number and `B`, `kB`, `MB`, `GB` (powers
/// of 1000) or `KiB`, `MiB`, `GiB` (powers of 1024). In topics, `pattern`, `group` and `dead_letter`, `${NAME}` and
/// `${NAME:default}` are filled in from the environment at start.
///
/// [`Handler::operations`]: https://docs.rs/kafka-runtime/latest/kafka_runtime/struct.Handler.html#method.operations
/// [`Handler::changed`]: https://docs.rs/kafka-runtime/latest/kafka_runtime/struct.Handler.html#method.changed
///
/// # Limits
///
/// The function is not generic, has no named lifetimes (`'_` is inferred) and is not in an `impl` block. Its future is
/// `Send`. A stream combinator over data borrowed from the record (`buffer_unordered`) may fail to compile with
/// "implementation of `FnOnce` is not general enough"; that is a limit of the compiler: take the data owned there.
///
/// ```compile_fail
/// # use kafka_runtime::{Raw, topic_handler};
/// #[topic_handler("orders", timeout = 30)] // a duration has a unit: "30s"
/// async fn on_order(_: Raw) {}
/// ```
#[proc_macro_attribute]
pub fn topic_handler(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    beside(item, |item| handler(args.into(), item))
}

/// Registers an error type, so that its [`Classify`] is also found inside an `anyhow::Error`.
///
/// ```
/// use kafka_runtime::{Classify, ErrorClass, classify};
///
/// #[derive(Debug)]
/// enum PaymentError { Declined, Unreachable }
///
/// # impl std::fmt::Display for PaymentError {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("payment") }
/// # }
/// impl std::error::Error for PaymentError {}
///
/// #[classify]
/// impl Classify for PaymentError {
///     fn classify(&self) -> ErrorClass {
///         match self {
///             Self::Declined => ErrorClass::Permanent,
///             Self::Unreachable => ErrorClass::Retryable,
///         }
///     }
/// }
/// ```
///
/// Not needed for a handler that returns `Result<_, PaymentError>`. The only option is `crate = path::to::reexport`.
///
/// [`Classify`]: https://docs.rs/kafka-runtime/latest/kafka_runtime/trait.Classify.html
#[proc_macro_attribute]
pub fn classify(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    beside(item, |item| classify::expand(args.into(), item))
}

/// Returns the item as it came, and beside it what is made of it, or the errors.
fn beside(
    item: proc_macro::TokenStream,
    expand: impl FnOnce(TokenStream) -> syn::Result<TokenStream>,
) -> proc_macro::TokenStream {
    let made = expand(item.clone().into()).unwrap_or_else(syn::Error::into_compile_error);
    let mut all = item;
    all.extend(proc_macro::TokenStream::from(made));
    all
}

fn handler(args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let args = args::parse(args, &mut errors);
    let model = syn::parse2(item)
        .map_err(|error| errors.push(error))
        .ok()
        .and_then(|item| HandlerModel::new(args, &item, &mut errors));
    errors.finish()?;
    Ok(model.as_ref().map(expand::registration).unwrap_or_default())
}
