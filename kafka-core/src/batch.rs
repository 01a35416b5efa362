//! What a batch handler takes and returns: [`Batch`], [`BatchRecord`], [`BatchOutcome`].
//!
//! A batch is decoded before the function is called, so a record that cannot be decoded is never in one. What the
//! function returns is a verdict for each record, or one error for all of them, which is none about any: each is then
//! tried again alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::decode_error::DecodeError;
use crate::extract::{HandlerContext, decode_key};
use crate::outcome::{Classifiers, Failure, FailureKind, HandlerError, Outcome, fail};
use crate::record::{Headers, Record, Timestamp};

/// How records are put together for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchOptions {
    /// Most records of a call.
    pub(crate) max: usize,
    /// How long an incomplete batch waits for more, from its first record on.
    pub(crate) linger: Duration,
}

impl BatchOptions {
    /// 500 records: what Kafka's own consumer hands over at most (`max.poll.records`). 50 ms: longer than it takes a
    /// topic that is read at full speed to fill a batch, and short beside what a call that is worth a batch takes.
    pub(crate) const DEFAULT: Self = Self {
        max: 500,
        linger: Duration::from_millis(50),
    };
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Records of one topic-partition, decoded, in the order of the partition: the first argument of a batch handler.
///
/// It is a slice of [`BatchRecord`]s (`len`, `iter`, indexes, `chunks`), and gives them away by value in a `for` loop.
/// It is never empty when the runtime hands it over. Records that could not be decoded are not in it.
///
/// ```
/// use kafka_core::{Batch, BatchOutcome};
///
/// #[derive(serde::Deserialize)]
/// struct User { id: i64, email: String }
///
/// async fn on_users(batch: Batch<User>) -> BatchOutcome {
///     println!("{} records of {}[{}]", batch.len(), batch.topic(), batch.partition());
///     let mut outcome = BatchOutcome::ok();
///     for (index, user) in batch.iter().enumerate() {
///         if !user.email.contains('@') {
///             outcome.fail(index, format!("user {} at offset {} has no address", user.id, user.offset()));
///         }
///     }
///     outcome
/// }
/// ```
#[derive(Clone)]
pub struct Batch<T> {
    records: Vec<BatchRecord<T>>,
    group_id: Arc<str>,
}

impl<T> Batch<T> {
    pub(crate) fn new(records: Vec<BatchRecord<T>>, group_id: Arc<str>) -> Self {
        Self { records, group_id }
    }

    /// Payloads as a batch, at offsets from 0 of partition 0; for calling a handler in a unit test.
    ///
    /// ```
    /// # use kafka_core::Batch;
    /// let batch = Batch::for_test("users", ["ada", "bob"]);
    /// assert_eq!((batch.len(), batch[1].offset()), (2, 1));
    /// ```
    pub fn for_test(topic: &str, payloads: impl IntoIterator<Item = T>) -> Self {
        let record = Record::for_test(topic, None, None);
        let at = |(payload, offset)| BatchRecord::for_test(payload, &record.at_offset(offset));
        payloads.into_iter().zip(0..).map(at).collect()
    }

    /// Returns the name of the topic that all of its records are from.
    pub fn topic(&self) -> &str {
        self.records
            .first()
            .map_or("", |first| first.record.topic())
    }

    /// Returns the number of the partition that all of its records are from.
    pub fn partition(&self) -> i32 {
        self.records
            .first()
            .map_or(0, |first| first.record.partition())
    }

    /// Returns the consumer group that handles it.
    pub fn group(&self) -> &str {
        &self.group_id
    }

    /// Returns the payloads, without what else is known of the records.
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = &T> {
        self.records.iter().map(BatchRecord::payload)
    }

    /// Returns the payloads by value.
    pub fn into_payloads(self) -> impl ExactSizeIterator<Item = T> {
        self.records.into_iter().map(BatchRecord::into_payload)
    }
}

impl<T> Deref for Batch<T> {
    type Target = [BatchRecord<T>];

    fn deref(&self) -> &[BatchRecord<T>] {
        &self.records
    }
}

impl<T> IntoIterator for Batch<T> {
    type Item = BatchRecord<T>;
    type IntoIter = std::vec::IntoIter<BatchRecord<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Batch<T> {
    type Item = &'a BatchRecord<T>;
    type IntoIter = std::slice::Iter<'a, BatchRecord<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}

/// For calling a handler in a unit test, with records of [`BatchRecord::for_test`].
impl<T> FromIterator<BatchRecord<T>> for Batch<T> {
    fn from_iter<I: IntoIterator<Item = BatchRecord<T>>>(records: I) -> Self {
        Self::new(records.into_iter().collect(), "test".into())
    }
}

impl<T> fmt::Debug for Batch<T> {
    /// Shows where its records are, never what they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// One record of a [`Batch`]: its payload, to which it derefs, and what a handler of single records takes as `Key`,
/// `Headers` and `RecordMetadata`.
#[derive(Clone)]
pub struct BatchRecord<T> {
    payload: T,
    record: Record,
    attempt: u32,
}

impl<T> BatchRecord<T> {
    pub(crate) fn new(payload: T, record: Record, attempt: u32) -> Self {
        Self {
            payload,
            record,
            attempt,
        }
    }

    /// A record of a batch, at its first attempt; for calling a handler in a unit test.
    pub fn for_test(payload: T, record: &Record) -> Self {
        Self::new(payload, record.clone(), 1)
    }

    /// The same at a later attempt, from 1; for calling a handler in a unit test.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Returns what the record was decoded to.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Returns what the record was decoded to, by value.
    pub fn into_payload(self) -> T {
        self.payload
    }

    /// Returns the record's offset.
    pub fn offset(&self) -> i64 {
        self.record.offset().0
    }

    /// Returns the record's timestamp.
    pub fn timestamp(&self) -> Timestamp {
        self.record.timestamp()
    }

    /// Returns the bytes of the key; `None` if the key is null.
    pub fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }

    /// Decodes the key, as [`Key`](crate::Key) does.
    ///
    /// ```
    /// # use kafka_core::{BatchRecord, Record};
    /// let record = BatchRecord::for_test((), &Record::for_test("users", Some(b"7"), None));
    /// assert_eq!(record.key_as::<i64>(), Ok(7));
    /// ```
    ///
    /// # Errors
    /// A key that is no `K`. As the error of the record (or of the batch, for want of a better), it is not retried.
    pub fn key_as<'m, K: Deserialize<'m>>(&'m self) -> Result<K, DecodeError> {
        decode_key(&self.record)
    }

    /// Returns the headers.
    pub fn headers(&self) -> Headers {
        self.record.headers()
    }

    /// Returns the number of this attempt, from 1. From the second on a record is in a batch of its own, or in one of what is
    /// due in a retry topic.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the record as it came.
    pub fn record(&self) -> &Record {
        &self.record
    }
}

impl<T> Deref for BatchRecord<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.payload
    }
}

impl<T> fmt::Debug for BatchRecord<T> {
    /// Shows where the record is, never what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchRecord")
            .field("record", &self.record)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// What a batch handler says of its records: a verdict for each, by its place in the batch, from 0.
///
/// Start from [`ok`](Self::ok) and name the others, or collect a verdict for each record, in order:
///
/// ```
/// # use kafka_core::{Batch, BatchOutcome};
/// async fn on_numbers(batch: Batch<String>) -> BatchOutcome {
///     batch.iter().map(|text| text.parse::<i64>().map(drop)).collect()
/// }
/// ```
///
/// A failed record is tried again alone, or goes to the failure policy alone, by its error: as it would in a handler of
/// single records. (An error type that implements `Classify` is recognised if it is registered, with `#[classify]` or
/// `Runtime::builder().classify::<E>()`.) All others are finished, also those after a failed one of the same key: what
/// a handler leaves undone behind a failed record it leaves without a verdict, or fails too.
///
/// A record without a verdict, because fewer were collected than there are records, has failed. A verdict for a record
/// that does not exist fails the whole batch: nobody knows which record was meant.
#[derive(Default)]
#[must_use = "return it from the handler"]
pub struct BatchOutcome {
    /// How many verdicts were collected; `None`: every record has one.
    collected: Option<usize>,
    /// One past the highest place that was named.
    named: usize,
    /// What is not simply handled, by place.
    exceptions: BTreeMap<usize, Verdict>,
}

enum Verdict {
    Known(Outcome),
    /// An error, which is classified when the error types of the runtime are known.
    Error(Box<dyn FnOnce(&Classifiers) -> Failure + Send + Sync>),
}

impl Verdict {
    fn error(error: impl HandlerError + Send + Sync) -> Self {
        Self::Error(Box::new(|classifiers| fail(error, None, classifiers)))
    }

    fn is_failure(&self) -> bool {
        matches!(self, Self::Error(_) | Self::Known(Outcome::Fail(_)))
    }
}

impl BatchOutcome {
    /// Every record is handled, but for those that are named from here on.
    pub fn ok() -> Self {
        Self::default()
    }

    /// The record at this place failed. A failure is not taken back by another verdict.
    pub fn fail(&mut self, index: usize, error: impl HandlerError + Send + Sync) {
        self.set(index, Verdict::error(error));
    }

    /// The record at this place is not wanted: it counts as skipped. The reason is for the observers; it is no place for
    /// a value of the record, since it is logged.
    pub fn skip(&mut self, index: usize, reason: impl Into<Cow<'static, str>>) {
        self.set(index, Verdict::Known(Outcome::skip(reason)));
    }

    /// True if no record failed or was skipped.
    pub fn is_ok(&self) -> bool {
        self.exceptions.is_empty()
    }

    fn set(&mut self, index: usize, verdict: Verdict) {
        self.named = self.named.max(index + 1);
        let known = self.exceptions.get(&index);
        if !known.is_some_and(Verdict::is_failure) {
            self.exceptions.insert(index, verdict);
        }
    }

    fn collect(verdicts: impl Iterator<Item = Option<Verdict>>) -> Self {
        let mut outcome = Self::default();
        let mut count = 0;
        for verdict in verdicts {
            outcome
                .exceptions
                .extend(verdict.map(|verdict| (count, verdict)));
            count += 1;
        }
        outcome.collected = Some(count);
        outcome
    }
}

impl FromIterator<Outcome> for BatchOutcome {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Self {
        Self::collect(outcomes.into_iter().map(known))
    }
}

/// `Ok` is `()` or an [`Outcome`].
impl<T: Into<Outcome>, E: HandlerError + Send + Sync> FromIterator<Result<T, E>> for BatchOutcome {
    fn from_iter<I: IntoIterator<Item = Result<T, E>>>(results: I) -> Self {
        Self::collect(results.into_iter().map(|result| match result {
            Ok(outcome) => known(outcome.into()),
            Err(error) => Some(Verdict::error(error)),
        }))
    }
}

fn known(outcome: Outcome) -> Option<Verdict> {
    match outcome {
        Outcome::Ack => None,
        outcome => Some(Verdict::Known(outcome)),
    }
}

impl fmt::Debug for BatchOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = |(index, verdict): (&usize, &Verdict)| verdict.is_failure().then_some(*index);
        let failed: Vec<usize> = self.exceptions.iter().filter_map(failed).collect();
        f.debug_struct("BatchOutcome")
            .field("failed", &failed)
            .finish_non_exhaustive()
    }
}

/// What a batch handler may return.
///
/// `()`, [`BatchOutcome`], `Result<(), E>` and `Result<BatchOutcome, E>` for any error that converts into a boxed error.
/// An `Err` is the failure of every record of the batch: each is tried again alone.
#[diagnostic::on_unimplemented(
    message = "a batch handler cannot return `{Self}`",
    label = "not the outcome of a batch",
    note = "return `()`, `BatchOutcome`, `Result<(), E>` or `Result<BatchOutcome, E>`, where `E` is an error that is \
            `Send + Sync` (`anyhow::Error`, for one)",
    note = "verdicts for each record are collected: `results.into_iter().collect::<BatchOutcome>()`"
)]
pub trait IntoBatchOutcome {
    /// Makes verdicts of it, or one failure of all; `cx` knows the error types that were registered.
    #[doc(hidden)]
    fn into_batch_outcome(self, cx: &HandlerContext) -> BatchResult;
}

/// What a call with a batch came to.
pub type BatchResult = Result<Verdicts, Failure>;

impl IntoBatchOutcome for () {
    fn into_batch_outcome(self, cx: &HandlerContext) -> BatchResult {
        BatchOutcome::ok().into_batch_outcome(cx)
    }
}

impl IntoBatchOutcome for BatchOutcome {
    fn into_batch_outcome(self, cx: &HandlerContext) -> BatchResult {
        let classified = |(index, verdict)| match verdict {
            Verdict::Known(outcome) => (index, outcome),
            Verdict::Error(classify) => (index, Outcome::Fail(classify(cx.classifiers()))),
        };
        Ok(Verdicts {
            collected: self.collected,
            named: self.named,
            exceptions: self.exceptions.into_iter().map(classified).collect(),
        })
    }
}

impl<T: IntoBatchOutcome, E: HandlerError> IntoBatchOutcome for Result<T, E> {
    fn into_batch_outcome(self, cx: &HandlerContext) -> BatchResult {
        match self {
            Ok(value) => value.into_batch_outcome(cx),
            Err(error) => Err(fail(error, None, cx.classifiers())),
        }
    }
}

/// A [`BatchOutcome`] whose errors are classified.
#[derive(Debug, Default)]
pub struct Verdicts {
    collected: Option<usize>,
    named: usize,
    exceptions: BTreeMap<usize, Outcome>,
}

impl Verdicts {
    /// Refuses verdicts for records that a batch of this length does not have.
    pub(crate) fn of_batch(self, len: usize) -> BatchResult {
        let given = self.collected.unwrap_or_default().max(self.named);
        if given <= len {
            return Ok(self);
        }
        Err(Failure::new(
            FailureKind::Unclassified,
            format!("the handler gave verdicts up to record {given} of a batch of {len}"),
        ))
    }

    /// True if every record of a batch of this length was handled.
    pub(crate) fn are_all_good(&self, len: usize) -> bool {
        self.exceptions.is_empty() && self.collected.is_none_or(|count| count >= len)
    }

    /// Takes a record's verdict; it fails if it has none.
    pub(crate) fn take(&mut self, index: usize) -> Outcome {
        match (self.exceptions.remove(&index), self.collected) {
            (Some(outcome), _) => outcome,
            (None, Some(count)) if index >= count => Outcome::Fail(Failure::new(
                FailureKind::Unclassified,
                format!(
                    "the handler gave {count} verdicts, and none for record {}",
                    index + 1
                ),
            )),
            (None, _) => Outcome::Ack,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::PermanentError;

    fn verdicts(outcome: BatchOutcome, len: usize) -> Vec<String> {
        let verdicts = outcome.into_batch_outcome(&HandlerContext::for_test());
        match verdicts.and_then(|verdicts| verdicts.of_batch(len)) {
            Ok(mut verdicts) => (0..len).map(|n| told(verdicts.take(n))).collect(),
            Err(failure) => vec![format!("all: {failure}")],
        }
    }

    fn told(outcome: Outcome) -> String {
        match outcome {
            Outcome::Ack => "ack".to_owned(),
            Outcome::Skip { reason } => format!("skip: {reason}"),
            Outcome::Fail(failure) => failure.to_string(),
        }
    }

    #[test]
    fn what_is_not_named_is_handled() {
        let mut outcome = BatchOutcome::ok();
        outcome.fail(2, PermanentError::new("no"));
        outcome.skip(0, "a test");

        assert_eq!(
            verdicts(outcome, 4),
            ["skip: a test", "ack", "permanent: no", "ack"]
        );
    }

    #[test]
    fn results_and_outcomes_are_collected_in_order() {
        let results = [Ok(()), Err("no")];
        let outcomes = [Ok::<_, anyhow::Error>(Outcome::skip("a test"))];
        let plain = [Outcome::Ack, Outcome::retry("busy")];

        assert_eq!(
            verdicts(results.into_iter().collect(), 2),
            ["ack", "unclassified: no"]
        );
        assert_eq!(
            verdicts(outcomes.into_iter().collect(), 1),
            ["skip: a test"]
        );
        assert_eq!(
            verdicts(plain.into_iter().collect(), 2),
            ["ack", "retryable: busy"]
        );
    }

    #[test]
    fn a_record_without_a_verdict_has_failed() {
        let two: BatchOutcome = [Outcome::Ack, Outcome::Ack].into_iter().collect();

        let verdicts = verdicts(two, 3);

        assert_eq!(verdicts[..2], ["ack", "ack"]);
        assert!(verdicts[2].contains("2 verdicts, and none for record 3"));
    }

    #[test]
    fn a_verdict_for_a_record_that_does_not_exist_fails_them_all() {
        let three: BatchOutcome = std::iter::repeat_with(|| Outcome::Ack).take(3).collect();
        let mut beyond = BatchOutcome::ok();
        beyond.skip(2, "a test");

        for outcome in [three, beyond] {
            let verdicts = verdicts(outcome, 2);
            assert_eq!(verdicts.len(), 1);
            assert!(verdicts[0].contains("up to record 3 of a batch of 2"));
        }
    }

    #[test]
    fn a_failure_is_not_taken_back() {
        let mut outcome = BatchOutcome::ok();
        outcome.fail(0, "no");
        outcome.skip(0, "a test");

        assert_eq!(verdicts(outcome, 1), ["unclassified: no"]);
    }

    #[test]
    fn a_key_that_does_not_decode_is_a_permanent_failure() {
        let record = Record::for_test("t", Some(b"seven"), None);
        let batch: Batch<()> = [BatchRecord::for_test((), &record)].into_iter().collect();

        let outcome: BatchOutcome = batch.iter().map(|r| r.key_as::<i64>().map(drop)).collect();

        assert!(verdicts(outcome, 1)[0].starts_with("permanent: "));
    }

    #[test]
    fn debug_shows_no_payload() {
        let batch = Batch::for_test("t", ["secret"]);

        assert!(!format!("{batch:?} {:?}", batch[0]).contains("secret"));
    }
}
