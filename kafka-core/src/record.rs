//! A record, and the batch that owns its bytes.
//!
//! Key, value and headers of the records of one partition are copied once, into one buffer, as they
//! leave the client. A [`Record`] is that batch and an index: cloning it is one reference count, and
//! nothing borrowed from the client crosses a thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A place in a partition: the offset of a record, or the next one to read.
///
/// A *committed* offset is the next one to read, as in Kafka's own clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// Returns the offset after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// The timestamp of a record, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamp {
    /// The broker has none.
    #[default]
    NotAvailable,
    /// Set by the producer.
    CreateTime(i64),
    /// Set by the broker when it appended the record.
    LogAppendTime(i64),
}

impl Timestamp {
    /// Returns milliseconds since the Unix epoch, whoever set them.
    pub fn millis(self) -> Option<i64> {
        match self {
            Self::NotAvailable => None,
            Self::CreateTime(ms) | Self::LogAppendTime(ms) => Some(ms),
        }
    }

    /// Returns the timestamp as a [`SystemTime`]; `None` if there is none or it is before 1970.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let ms = u64::try_from(self.millis()?).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(ms))
    }
}

/// Takes the name and the value of a header.
pub(crate) type VisitHeader<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// The headers of a record as a client holds them: read once, while they are copied.
pub(crate) trait HeaderSource {
    /// Calls `visit` with the name and value of each header, in order.
    fn each(&self, visit: &mut VisitHeader<'_>);
}

/// No headers.
pub(crate) struct NoHeaders;

impl HeaderSource for NoHeaders {
    fn each(&self, _: &mut VisitHeader<'_>) {}
}

/// Headers of a record made by hand.
struct GivenHeaders<'a>(&'a [(&'a str, &'a [u8])]);

impl HeaderSource for GivenHeaders<'_> {
    fn each(&self, visit: &mut VisitHeader<'_>) {
        for (name, value) in self.0 {
            visit(name.as_bytes(), Some(value));
        }
    }
}

/// A record as the client lends it, before it is copied.
pub(crate) struct RawRecord<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: Offset,
    pub(crate) timestamp: Timestamp,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a dyn HeaderSource,
}

/// A range of a batch's buffer; `ABSENT` stands for null.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    const ABSENT: Self = Self { start: 1, end: 0 };

    fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    fn slice(self, bytes: &[u8]) -> Option<&[u8]> {
        bytes.get(self.start as usize..self.end as usize)
    }
}

struct HeaderSpan {
    name: Span,
    value: Span,
}

struct Entry {
    offset: Offset,
    timestamp: Timestamp,
    /// The place of this record in its partition's sequence (see `watermark`).
    sequence: u64,
    /// The hash of the key, or of the sequence where the key is null.
    key_hash: u64,
    /// Attempts that it had before it was parked in a retry topic.
    attempts: u32,
    key: Span,
    value: Span,
    headers_start: u32,
    headers_end: u32,
}

/// What is held in memory for one partition: raised when records arrive, lowered when their batch is dropped.
#[derive(Debug, Default)]
pub(crate) struct HeldBytes(AtomicUsize);

impl HeldBytes {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Records of one partition in one buffer.
pub(crate) struct RecordBatch {
    topic: Arc<str>,
    partition: i32,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    headers: Vec<HeaderSpan>,
    held: Option<Arc<HeldBytes>>,
    size: usize,
}

impl RecordBatch {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn key_hash(&self, index: usize) -> u64 {
        self.entries[index].key_hash
    }

    pub(crate) fn has_key(&self, index: usize) -> bool {
        self.entries[index].key.start <= self.entries[index].key.end
    }

    pub(crate) fn sequence(&self, index: usize) -> u64 {
        self.entries[index].sequence
    }

    pub(crate) fn offset(&self, index: usize) -> Offset {
        self.entries[index].offset
    }

    pub(crate) fn attempts(&self, index: usize) -> u32 {
        self.entries[index].attempts
    }

    pub(crate) fn value_len(&self, index: usize) -> usize {
        self.entries[index].value.len()
    }

    pub(crate) fn value(&self, index: usize) -> Option<&[u8]> {
        self.entries[index].value.slice(&self.bytes)
    }

    /// Copies one of the records into a batch of its own, where that is the first: it can wait there for long, and
    /// keeps nothing else in memory.
    pub(crate) fn alone(self: &Arc<Self>, at: usize) -> Arc<Self> {
        if self.len() == 1 {
            return Arc::clone(self);
        }
        let entry = &self.entries[at];
        let headers = entry.headers_start as usize..entry.headers_end as usize;
        let headers = &self.headers[headers];
        let spans = headers.iter().flat_map(|one| [one.name, one.value]);
        let lengths = spans.chain([entry.key, entry.value]).map(Span::len);
        let mut bytes = Vec::with_capacity(lengths.sum());
        let mut copy = |span: Span| copy_into(&mut bytes, span.slice(&self.bytes));
        let headers: Vec<_> = headers
            .iter()
            .map(|one| HeaderSpan {
                name: copy(one.name),
                value: copy(one.value),
            })
            .collect();
        let entry = Entry {
            key: copy(entry.key),
            value: copy(entry.value),
            headers_start: 0,
            headers_end: index(headers.len()),
            ..*entry
        };
        Self::new(
            Arc::clone(&self.topic),
            self.partition,
            bytes,
            vec![entry],
            headers,
            self.held.clone(),
        )
    }

    /// Makes a batch; its bytes count as held until it is dropped.
    fn new(
        topic: Arc<str>,
        partition: i32,
        bytes: Vec<u8>,
        entries: Vec<Entry>,
        headers: Vec<HeaderSpan>,
        held: Option<Arc<HeldBytes>>,
    ) -> Arc<Self> {
        let size = bytes.capacity()
            + entries.capacity() * size_of::<Entry>()
            + headers.capacity() * size_of::<HeaderSpan>();
        if let Some(held) = &held {
            held.0.fetch_add(size, Ordering::Relaxed);
        }
        Arc::new(Self {
            topic,
            partition,
            bytes,
            entries,
            headers,
            held,
            size,
        })
    }

    /// Returns a handle to one of the records.
    pub(crate) fn record(self: &Arc<Self>, index: usize) -> Record {
        Record {
            batch: Arc::clone(self),
            index,
        }
    }
}

impl Drop for RecordBatch {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.0.fetch_sub(self.size, Ordering::Relaxed);
        }
    }
}

/// A batch ends before the record that does not fit into this. It stays in memory as long as the slowest of its
/// records; and small buffers, all of about one size, are what an allocator can use again: with those of a whole poll
/// (1 MiB), the process took 40 MB more.
const BATCH_BYTES: usize = 64 << 10;

/// Collects records of one partition into a [`RecordBatch`].
pub(crate) struct BatchBuilder {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    headers: Vec<HeaderSpan>,
    /// Bytes and records of the last batch: what the next one is likely to need.
    last: (usize, usize),
}

impl BatchBuilder {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            entries: Vec::new(),
            headers: Vec::new(),
            last: (0, 0),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True if the record may go into this batch: any record may, into an empty one.
    pub(crate) fn has_room(&self, record: &RawRecord<'_>) -> bool {
        let record = [record.key, record.value].map(|part| part.map_or(0, <[u8]>::len));
        self.is_empty() || self.bytes.len() + record.iter().sum::<usize>() <= BATCH_BYTES
    }

    /// Copies a record to the end of the batch.
    pub(crate) fn push(&mut self, record: &RawRecord<'_>, sequence: u64, key_hash: u64) {
        if self.is_empty() {
            self.bytes.reserve(self.last.0);
            self.entries.reserve(self.last.1);
        }
        let key = self.copy(record.key);
        let value = self.copy(record.value);
        let headers_start = index(self.headers.len());
        record.headers.each(&mut |name, value| {
            let name = copy_into(&mut self.bytes, Some(name));
            let value = copy_into(&mut self.bytes, value);
            self.headers.push(HeaderSpan { name, value });
        });
        self.entries.push(Entry {
            offset: record.offset,
            timestamp: record.timestamp,
            sequence,
            key_hash,
            attempts: 0,
            key,
            value,
            headers_start,
            headers_end: index(self.headers.len()),
        });
    }

    /// Says how often the last record was tried before.
    pub(crate) fn set_attempts(&mut self, attempts: u32) {
        if let Some(last) = self.entries.last_mut() {
            last.attempts = attempts;
        }
    }

    /// Ends the batch; its bytes count as held until it is dropped.
    pub(crate) fn finish(
        &mut self,
        topic: Arc<str>,
        partition: i32,
        held: Option<Arc<HeldBytes>>,
    ) -> Arc<RecordBatch> {
        let bytes = std::mem::take(&mut self.bytes);
        let entries = std::mem::take(&mut self.entries);
        let headers = std::mem::take(&mut self.headers);
        self.last = (bytes.len(), entries.len());
        RecordBatch::new(topic, partition, bytes, entries, headers, held)
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Span {
        copy_into(&mut self.bytes, bytes)
    }
}

fn copy_into(buffer: &mut Vec<u8>, bytes: Option<&[u8]>) -> Span {
    let Some(bytes) = bytes else {
        return Span::ABSENT;
    };
    let start = index(buffer.len());
    buffer.extend_from_slice(bytes);
    Span {
        start,
        end: index(buffer.len()),
    }
}

fn index(n: usize) -> u32 {
    u32::try_from(n)
        .unwrap_or_else(|_| unreachable!("a full batch is finished before it overflows"))
}

/// One entry of a partition: key, value, headers, timestamp, offset.
///
/// Cloning it is cheap; it keeps the batch it arrived in alive. As the first argument of a handler it is the
/// undecoded record.
///
/// ```
/// let record = kafka_core::Record::for_test("auth.public.users", Some(b"7"), Some(br#"{"id":7}"#));
/// assert_eq!(record.topic(), "auth.public.users");
/// assert_eq!(record.value(), Some(&br#"{"id":7}"#[..]));
/// ```
#[derive(Clone)]
pub struct Record {
    batch: Arc<RecordBatch>,
    index: usize,
}

impl Record {
    /// Builds a record outside of any broker, for the unit test of a decoder or an extractor.
    pub fn for_test(topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        let mut builder = BatchBuilder::new();
        builder.push(
            &RawRecord {
                topic,
                partition: 0,
                offset: Offset(0),
                timestamp: Timestamp::NotAvailable,
                key,
                value,
                headers: &NoHeaders,
            },
            0,
            0,
        );
        builder.finish(topic.into(), 0, None).record(0)
    }

    /// The same record with these headers; for the unit test of a handler, a decoder or an extractor.
    ///
    /// ```
    /// # use kafka_core::Record;
    /// let record = Record::for_test("users", None, None).with_headers(&[("source", b"auth")]);
    /// assert_eq!(record.headers().get("source"), Some(&b"auth"[..]));
    /// ```
    #[must_use]
    pub fn with_headers(&self, headers: &[(&str, &[u8])]) -> Self {
        self.rebuilt(
            self.partition(),
            self.offset(),
            self.timestamp(),
            &GivenHeaders(headers),
        )
    }

    /// The same record elsewhere in its topic; for calling a handler in a unit test.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with_place(&self, partition: i32, offset: i64) -> Self {
        let headers = self.headers();
        self.rebuilt(partition, Offset(offset), self.timestamp(), &headers)
    }

    /// The same record of another time; for calling a handler in a unit test.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with_timestamp(&self, timestamp: Timestamp) -> Self {
        let headers = self.headers();
        self.rebuilt(self.partition(), self.offset(), timestamp, &headers)
    }

    fn rebuilt(
        &self,
        partition: i32,
        offset: Offset,
        timestamp: Timestamp,
        headers: &dyn HeaderSource,
    ) -> Self {
        let mut builder = BatchBuilder::new();
        builder.push(
            &RawRecord {
                topic: self.topic(),
                partition,
                offset,
                timestamp,
                key: self.key(),
                value: self.value(),
                headers,
            },
            self.entry().sequence,
            self.entry().key_hash,
        );
        builder.finish(self.topic_arc(), partition, None).record(0)
    }

    /// The same record at another offset, for a batch in a unit test.
    pub(crate) fn at_offset(&self, offset: i64) -> Self {
        let mut builder = BatchBuilder::new();
        let raw = RawRecord {
            topic: self.topic(),
            partition: self.partition(),
            offset: Offset(offset),
            timestamp: self.timestamp(),
            key: self.key(),
            value: self.value(),
            headers: &NoHeaders,
        };
        builder.push(&raw, self.entry().sequence, self.entry().key_hash);
        builder
            .finish(self.topic_arc(), self.partition(), None)
            .record(0)
    }

    /// Returns the topic's name.
    pub fn topic(&self) -> &str {
        &self.batch.topic
    }

    /// Returns the number of the partition.
    pub fn partition(&self) -> i32 {
        self.batch.partition
    }

    /// Returns the record's offset.
    pub fn offset(&self) -> Offset {
        self.entry().offset
    }

    /// Returns topic, partition and offset: the record's identity.
    pub fn place(&self) -> RecordPlace {
        RecordPlace {
            topic: self.topic_arc(),
            partition: self.partition(),
            offset: self.offset(),
        }
    }

    /// Returns the record's timestamp.
    pub fn timestamp(&self) -> Timestamp {
        self.entry().timestamp
    }

    /// Returns the bytes of the key; `None` if the key is null.
    pub fn key(&self) -> Option<&[u8]> {
        self.entry().key.slice(&self.batch.bytes)
    }

    /// Returns the bytes of the value; `None` if the value is null (a tombstone).
    pub fn value(&self) -> Option<&[u8]> {
        self.entry().value.slice(&self.batch.bytes)
    }

    /// Returns the headers.
    pub fn headers(&self) -> Headers {
        Headers(self.clone())
    }

    /// Returns the value of the first header of this name; `None` if there is none or its value is null.
    ///
    /// ```
    /// # use kafka_core::Record;
    /// let record = Record::for_test("users", None, None).with_headers(&[("source", b"auth")]);
    /// assert_eq!(record.header("source"), Some(&b"auth"[..]));
    /// ```
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let entry = self.entry();
        let headers = &self.batch.headers[entry.headers_start as usize..entry.headers_end as usize];
        let bytes = &self.batch.bytes;
        let is_it = |one: &&HeaderSpan| one.name.slice(bytes) == Some(name.as_bytes());
        headers.iter().find(is_it)?.value.slice(bytes)
    }

    pub(crate) fn topic_arc(&self) -> Arc<str> {
        Arc::clone(&self.batch.topic)
    }

    fn entry(&self) -> &Entry {
        &self.batch.entries[self.index]
    }
}

impl fmt::Debug for Record {
    /// Shows where the record is, never what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("offset", &self.offset().0)
            .finish_non_exhaustive()
    }
}

/// Where a record is: its identity, and no payload.
///
/// It stays the same through every attempt, redelivery and retry topic, so it is what makes a write idempotent: as a
/// unique key of what was done, or, since the records of a key are in one partition and their offsets only grow, as a
/// condition. `UPDATE … SET …, done = $offset WHERE id = $id AND done < $offset` also keeps out a process that was taken
/// for dead and still finishes its last call.
///
/// ```
/// use kafka_core::{Record, RecordPlace};
///
/// let record = Record::for_test("auth.public.users", Some(b"7"), None);
/// assert_eq!(record.place().to_string(), "auth.public.users[0]@0");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPlace {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: Offset,
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// The headers of a record, in order; a name may repeat (Debezium 3.2.1 repeats its own).
///
/// Values are bytes and may be null: nothing says that they are text. A header is input from whoever can
/// write to the topic.
///
/// ```
/// # use kafka_core::Headers;
/// fn trace_id(headers: &Headers) -> Option<&str> {
///     headers.get("trace-id").and_then(|value| std::str::from_utf8(value).ok())
/// }
/// ```
#[derive(Clone)]
pub struct Headers(Record);

impl Headers {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        let entry = self.0.entry();
        (entry.headers_end - entry.headers_start) as usize
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the value of the first header of this name; `None` if there is none or its value is null.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.header(name)
    }

    /// Returns name and value of each, in order. Names are bytes too: only well-behaved producers write UTF-8.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        let batch = &self.0.batch;
        let entry = self.0.entry();
        batch.headers[entry.headers_start as usize..entry.headers_end as usize]
            .iter()
            .map(|header| {
                (
                    header.name.slice(&batch.bytes).unwrap_or_default(),
                    header.value.slice(&batch.bytes),
                )
            })
    }
}

#[cfg(any(test, feature = "testing"))]
impl HeaderSource for Headers {
    fn each(&self, visit: &mut VisitHeader<'_>) {
        for (name, value) in self.iter() {
            visit(name, value);
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Headers")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;

    impl HeaderSource for Two {
        fn each(&self, visit: &mut VisitHeader<'_>) {
            visit(b"a", Some(b"1"));
            visit(b"\xff", None);
        }
    }

    fn raw<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> RawRecord<'a> {
        RawRecord {
            topic: "t",
            partition: 3,
            offset: Offset(7),
            timestamp: Timestamp::CreateTime(5),
            key,
            value,
            headers: &Two,
        }
    }

    #[test]
    fn null_and_empty_are_different() {
        let mut builder = BatchBuilder::new();
        builder.push(&raw(None, Some(b"")), 0, 0);
        builder.push(&raw(Some(b""), None), 1, 0);

        let batch = builder.finish("t".into(), 3, None);

        assert_eq!(batch.record(0).key(), None);
        assert_eq!(batch.record(0).value(), Some(&b""[..]));
        assert_eq!(batch.record(1).key(), Some(&b""[..]));
        assert_eq!(batch.record(1).value(), None);
        assert!(!batch.has_key(0) && batch.has_key(1));
    }

    #[test]
    fn headers_keep_bytes_and_nulls() {
        let mut builder = BatchBuilder::new();
        builder.push(&raw(None, None), 0, 0);

        let headers = builder.finish("t".into(), 3, None).record(0).headers();

        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get("a"), Some(&b"1"[..]));
        assert_eq!(headers.iter().last(), Some((&b"\xff"[..], None)));
    }

    #[test]
    fn a_record_alone_is_the_same_and_holds_nothing_else() {
        let held = Arc::new(HeldBytes::default());
        let mut builder = BatchBuilder::new();
        builder.push(&raw(Some(b"k"), Some(&[7; 5000])), 8, 1);
        builder.push(&raw(Some(b"key"), Some(b"value")), 9, 2);
        builder.set_attempts(3);
        let batch = builder.finish("t".into(), 3, Some(Arc::clone(&held)));

        let alone = batch.alone(1);
        drop(batch);

        assert!((1..1000).contains(&held.get()), "{}", held.get());
        assert_eq!((alone.len(), alone.sequence(0)), (1, 9));
        assert_eq!((alone.key_hash(0), alone.attempts(0)), (2, 3));
        let record = alone.record(0);
        assert_eq!(record.key(), Some(&b"key"[..]));
        assert_eq!(record.value(), Some(&b"value"[..]));
        assert_eq!(record.offset(), Offset(7));
        assert_eq!(record.headers().get("a"), Some(&b"1"[..]));
        assert_eq!(record.headers().iter().last(), Some((&b"\xff"[..], None)));
        drop(record);
        assert!(Arc::ptr_eq(&alone, &alone.alone(0)));
        drop(alone);
        assert_eq!(held.get(), 0);
    }

    #[test]
    fn null_stays_null_in_a_record_alone() {
        let mut builder = BatchBuilder::new();
        builder.push(&raw(None, Some(b"")), 0, 0);
        builder.push(&raw(Some(b""), None), 1, 0);
        let batch = builder.finish("t".into(), 3, None);

        assert_eq!(batch.alone(0).record(0).key(), None);
        assert_eq!(batch.alone(0).record(0).value(), Some(&b""[..]));
        assert_eq!(batch.alone(1).record(0).key(), Some(&b""[..]));
        assert_eq!(batch.alone(1).record(0).value(), None);
    }

    #[test]
    fn a_batch_takes_64_kib_or_one_record() {
        let (small, large) = (vec![0; 1 << 10], vec![0; 100 << 10]);
        let mut builder = BatchBuilder::new();

        assert!(builder.has_room(&raw(None, Some(&large))));
        builder.push(&raw(None, Some(&large)), 0, 0);
        assert!(!builder.has_room(&raw(None, Some(&small))));
        builder.finish("t".into(), 3, None);
        let mut n = 0;
        while builder.has_room(&raw(Some(b"key"), Some(&small))) {
            builder.push(&raw(Some(b"key"), Some(&small)), n, 0);
            n += 1;
        }

        assert_eq!(n, 63);
        assert_eq!(builder.finish("t".into(), 3, None).len(), 63);
    }

    #[test]
    fn held_bytes_return_to_zero_with_the_last_record() {
        let held = Arc::new(HeldBytes::default());
        let mut builder = BatchBuilder::new();
        builder.push(&raw(Some(b"k"), Some(b"value")), 0, 0);
        let record = builder
            .finish("t".into(), 3, Some(Arc::clone(&held)))
            .record(0);

        assert!(held.get() >= 6);
        drop(record);
        assert_eq!(held.get(), 0);
    }

    #[test]
    fn debug_shows_no_payload() {
        let record = Record::for_test("t", Some(b"secret-key"), Some(b"secret-value"));

        assert!(!format!("{record:?} {:?}", record.headers()).contains("secret"));
    }
}
