//! Records as a test writes and reads them: owned bytes, nothing decoded.

use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::FutureRecord;

/// A record to produce. Without [`value`](Self::value) it is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Where it is to be written.
    pub topic: String,
    /// The partition, if not by key.
    pub partition: Option<i32>,
    /// Its key, if not null.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers in order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970, if not now.
    pub timestamp: Option<i64>,
}

impl NewRecord {
    /// Starts a record for `topic` with nothing in it.
    pub fn to(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: None,
            value: None,
            headers: Vec::new(),
            timestamp: None,
        }
    }

    /// Names the partition; without it the client chooses by key.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Adds a header; names may repeat.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// Adds a header whose value is null.
    #[must_use]
    pub fn null_header(mut self, name: impl Into<String>) -> Self {
        self.headers.push((name.into(), None));
        self
    }

    /// Sets the timestamp, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, milliseconds: i64) -> Self {
        self.timestamp = Some(milliseconds);
        self
    }

    pub(crate) fn as_future_record(&self) -> FutureRecord<'_, [u8], [u8]> {
        let mut record = FutureRecord::to(&self.topic);
        record.partition = self.partition;
        record.key = self.key.as_deref();
        record.payload = self.value.as_deref();
        record.timestamp = self.timestamp;
        if !self.headers.is_empty() {
            let empty = OwnedHeaders::new_with_capacity(self.headers.len());
            record.headers = Some(self.headers.iter().fold(empty, |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: value.as_deref(),
                })
            }));
        }
        record
    }
}

/// A record as it lies in its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Its key, if not null.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers in order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl StoredRecord {
    pub(crate) fn copy_of(message: &impl Message) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        }
    }

    /// Returns the key as text, invalid UTF-8 replaced; empty if it is null.
    pub fn key_text(&self) -> String {
        text(self.key.as_deref())
    }

    /// Returns the value as text, invalid UTF-8 replaced; empty for a tombstone.
    pub fn value_text(&self) -> String {
        text(self.value.as_deref())
    }

    /// Returns the last header called `name` as text, which is the one that counts in
    /// Kafka; `None` if there is none or its value is null.
    pub fn header_text(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().rfind(|(key, _)| key == name)?;
        value.as_deref().map(|value| text(Some(value)))
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::{NewRecord, StoredRecord};

    #[test]
    fn a_record_without_value_is_a_tombstone() {
        let record = NewRecord::to("t").key("k");

        assert_eq!(record.as_future_record().payload, None);
    }

    #[test]
    fn headers_keep_order_repetition_and_null() {
        let record = NewRecord::to("t").header("a", "1").null_header("a");

        let future_record = record.as_future_record();
        let headers = future_record.headers.as_ref();
        let values: Vec<_> = headers
            .into_iter()
            .flat_map(Headers::iter)
            .map(|header| header.value)
            .collect();
        assert_eq!(values, [Some(&b"1"[..]), None]);
    }

    #[test]
    fn the_last_header_of_a_name_counts() {
        let record = StoredRecord {
            partition: 0,
            offset: 0,
            timestamp: None,
            key: None,
            value: None,
            headers: vec![
                ("a".into(), Some(b"1".to_vec())),
                ("a".into(), Some(b"2".to_vec())),
            ],
        };

        assert_eq!(record.header_text("a").as_deref(), Some("2"));
        assert_eq!(record.header_text("b"), None);
    }
}
