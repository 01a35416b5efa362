//! The records of the benchmark: change events as Debezium writes them, with keys as they are in real life.

use serde::{Deserialize, Serialize};

use super::keys::Keys;
use crate::random::Random;

/// What a hand-written service declares: everything owned, nothing left out.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Envelope {
    pub(crate) before: Option<User>,
    pub(crate) after: Option<User>,
    pub(crate) source: Source,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) op: String,
    pub(crate) ts_ms: Option<i64>,
    pub(crate) ts_us: Option<i64>,
    pub(crate) ts_ns: Option<i64>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) balance: String,
    pub(crate) created_at: i64,
    pub(crate) version: u64,
    pub(crate) note: Option<String>,
}

/// The same row, borrowed from the record where it can be.
#[derive(Debug, Deserialize)]
pub(crate) struct BorrowedUser<'a> {
    pub(crate) id: u64,
    pub(crate) email: &'a str,
    pub(crate) name: &'a str,
    #[expect(dead_code, reason = "it is decoded, as in the other arms")]
    pub(crate) status: &'a str,
    #[expect(dead_code, reason = "it is decoded, as in the other arms")]
    pub(crate) balance: &'a str,
    #[expect(dead_code, reason = "it is decoded, as in the other arms")]
    pub(crate) created_at: i64,
    pub(crate) version: u64,
    #[expect(dead_code, reason = "it is decoded, as in the other arms")]
    pub(crate) note: Option<&'a str>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Source {
    pub(crate) version: String,
    pub(crate) connector: String,
    pub(crate) name: String,
    pub(crate) ts_ms: i64,
    pub(crate) snapshot: Option<String>,
    pub(crate) db: String,
    pub(crate) sequence: Option<String>,
    pub(crate) ts_us: Option<i64>,
    pub(crate) ts_ns: Option<i64>,
    pub(crate) schema: String,
    pub(crate) table: String,
    #[serde(rename = "txId")]
    pub(crate) tx_id: Option<i64>,
    pub(crate) lsn: Option<i64>,
    pub(crate) xmin: Option<i64>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Transaction {
    pub(crate) id: String,
    pub(crate) total_order: i64,
    pub(crate) data_collection_order: i64,
}

/// When they were written, where nobody asks.
const WRITTEN_NS: u64 = 1_732_788_000_000_123_456;

impl User {
    fn new(id: u64, version: u64) -> Self {
        Self {
            id,
            email: format!("user-{id}@example.com"),
            name: format!("Ada King, Lovelace {id}"),
            status: "awaiting approval".into(),
            balance: "1234.50".into(),
            created_at: 1_732_788_000_000_000,
            version,
            note: None,
        }
    }
}

/// What an arm makes of a row: if the sum over all records is right, it has decoded every one.
pub(crate) fn checksum(id: u64, email: &str, name: &str, version: u64) -> u64 {
    id + email.len() as u64 + name.len() as u64 + version
}

/// A key, a value, and what the value adds to the checksum.
pub(crate) struct Made {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) checksum: u64,
}

impl Made {
    /// Returns the partition of its key.
    pub(crate) fn partition(&self, partitions: i32) -> i32 {
        let hash = Random::of(self.id, "partition").next();
        i32::try_from(hash % u64::from(partitions.unsigned_abs().max(1))).unwrap_or_default()
    }
}

/// Makes the records of a topic, one after the other; a seed repeats them.
#[derive(Debug)]
pub(crate) struct Events {
    keys: Keys,
    random: Random,
    number: u64,
    /// Values are filled up to this many bytes by the `note` of the new row.
    size: usize,
}

impl Events {
    /// Values are as long as the events are by themselves (about 775 bytes), or padded to `size` bytes.
    pub(crate) fn new(keys: Keys, size: usize) -> Self {
        Self {
            keys,
            random: Random::of(1, "events"),
            number: 0,
            size,
        }
    }

    pub(crate) fn next(&mut self) -> Made {
        self.next_due(WRITTEN_NS, None)
    }

    /// An event whose `ts_ns` says when it is due; of a key of its own, if it has one.
    pub(crate) fn next_due(&mut self, ts_ns: u64, id: Option<u64>) -> Made {
        let drawn = self.keys.draw(&mut self.random);
        let id = id.unwrap_or(drawn);
        self.number += 1;
        let version = self.number % 1000;
        let mut after = User::new(id, version + 1);
        let checksum = checksum(after.id, &after.email, &after.name, after.version);
        let mut value = value(id, version, &after, self.number, ts_ns);
        if value.len() < self.size {
            // `null` goes, and two quotes come.
            after.note = Some("x".repeat(self.size - value.len() + 2));
            value = self::value(id, version, &after, self.number, ts_ns);
        }
        Made {
            id,
            key: format!(r#"{{"id":{id}}}"#),
            value,
            checksum,
        }
    }
}

fn value(id: u64, version: u64, after: &User, number: u64, ts_ns: u64) -> String {
    let before = User::new(id, version);
    let lsn = 24_023_128 + number * 56;
    let ms = 1_732_788_000_000 + number;
    format!(
        r#"{{"before":{},"after":{},"source":{{"version":"3.3.1.Final","connector":"postgresql","name":"auth","ts_ms":{ms},"snapshot":"false","db":"auth","sequence":"[\"{}\",\"{lsn}\"]","ts_us":{ms}000,"ts_ns":{ms}000000,"schema":"public","table":"users","txId":{},"lsn":{lsn},"xmin":null}},"transaction":null,"op":"u","ts_ms":{ms},"ts_us":{ms}123,"ts_ns":{ts_ns}}}"#,
        json(&before),
        json(after),
        lsn - 56,
        700 + number % 100_000,
    )
}

fn json(user: &User) -> String {
    serde_json::to_string(user).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Envelope, Events, checksum};
    use crate::bench::keys::Keys;

    #[test]
    fn an_event_is_read_by_the_structs_and_has_the_checksum_it_says() {
        let mut events = Events::new(Keys::zipf(100), 0);

        let made = events.next();
        let read: Envelope = serde_json::from_str(&made.value).unwrap();
        let after = read.after.unwrap();

        assert_eq!(
            checksum(after.id, &after.email, &after.name, after.version),
            made.checksum
        );
        assert!(
            (740..=800).contains(&made.value.len()),
            "{}",
            made.value.len()
        );
    }

    #[test]
    fn a_value_is_padded_to_the_size_asked_for() {
        let mut events = Events::new(Keys::zipf(100), 5000);

        let made = events.next();

        assert_eq!(made.value.len(), 5000);
        assert!(serde_json::from_str::<Envelope>(&made.value).is_ok());
    }
}
