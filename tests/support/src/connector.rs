//! The configuration of Debezium's connector for PostgreSQL, setting by setting.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Database, Postgres};

/// A configuration of the connector.
///
/// Starts as the service that the project is made for runs it (bare JSON, no tombstones, slot and publication of its
/// own), except that its publication has only the included tables (`filtered`), that TRUNCATE is sent, and that topics
/// have one partition unless [`partitions`](Self::partitions) says otherwise. What is not set keeps Debezium's default.
///
/// ```
/// use test_support::{Decimals, PostgresConnector};
///
/// let connector = PostgresConnector::new("auth")
///     .tables(["public.users"])
///     .decimals(Decimals::String);
///
/// assert_eq!(connector.settings()["topic.prefix"], "auth");
/// assert_eq!(connector.settings()["decimal.handling.mode"], "string");
/// ```
#[derive(Clone, Debug)]
pub struct PostgresConnector {
    settings: BTreeMap<String, String>,
}

/// What the service that the project is made for sets, and the exceptions that [`PostgresConnector`] names.
const DEFAULTS: [(&str, &str); 12] = [
    (
        "connector.class",
        "io.debezium.connector.postgresql.PostgresConnector",
    ),
    ("tasks.max", "1"),
    // The default, decoderbufs, is not part of PostgreSQL.
    ("plugin.name", "pgoutput"),
    ("snapshot.mode", "when_needed"),
    ("publication.autocreate.mode", "filtered"),
    ("tombstones.on.delete", "false"),
    ("skipped.operations", "none"),
    ("key.converter", JSON),
    ("value.converter", JSON),
    ("topic.creation.default.partitions", "1"),
    ("topic.creation.default.replication.factor", "1"),
    // How long a change waits in the connector; 500 ms by default.
    ("poll.interval.ms", "20"),
];

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

impl PostgresConnector {
    /// Starts a configuration for the topics `<prefix>.<schema>.<table>`. Slot and publication are named after the
    /// prefix.
    pub fn new(prefix: &str) -> Self {
        let name = prefix.replace(['-', '.'], "_");
        let settings = DEFAULTS
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Self { settings }
            .key_schema(false)
            .value_schema(false)
            .set("topic.prefix", prefix)
            .set("slot.name", format!("debezium_{name}"))
            .set("publication.name", format!("debezium_{name}_publication"))
    }

    /// Sets anything else, or the same to another value.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(key.into(), value.into());
        self
    }

    /// Names the tables, `schema.table` each; all tables without.
    #[must_use]
    pub fn tables<T: AsRef<str>>(self, tables: impl IntoIterator<Item = T>) -> Self {
        let names: Vec<String> = tables.into_iter().map(|t| t.as_ref().to_owned()).collect();
        self.set("table.include.list", names.join(","))
    }

    /// Sets the number of partitions of the topics that the connector creates.
    #[must_use]
    pub fn partitions(self, partitions: u32) -> Self {
        self.set("topic.creation.default.partitions", partitions.to_string())
    }

    /// Wraps keys: `{"schema":…,"payload":…}`.
    #[must_use]
    pub fn key_schema(self, is_wrapped: bool) -> Self {
        self.set("key.converter.schemas.enable", is_wrapped.to_string())
    }

    /// Wraps values: `{"schema":…,"payload":…}`.
    #[must_use]
    pub fn value_schema(self, is_wrapped: bool) -> Self {
        self.set("value.converter.schemas.enable", is_wrapped.to_string())
    }

    /// Sets how `numeric` and `money` are written.
    #[must_use]
    pub fn decimals(self, decimals: Decimals) -> Self {
        match decimals {
            Decimals::Precise => self.set("decimal.handling.mode", "precise"),
            Decimals::Double => self.set("decimal.handling.mode", "double"),
            Decimals::String => self.set("decimal.handling.mode", "string"),
            Decimals::Numeric => self
                .set("decimal.handling.mode", "precise")
                .set("value.converter.decimal.format", "NUMERIC"),
        }
    }

    /// Sets how dates and times are written.
    #[must_use]
    pub fn times(self, times: Times) -> Self {
        let mode = match times {
            Times::Adaptive => "adaptive",
            Times::AdaptiveMicroseconds => "adaptive_time_microseconds",
            Times::Connect => "connect",
            Times::Microseconds => "microseconds",
            Times::Nanoseconds => "nanoseconds",
            Times::IsoString => "isostring",
        };
        self.set("time.precision.mode", mode)
    }

    /// Sets how `bytea` is written.
    #[must_use]
    pub fn binary(self, binary: Binary) -> Self {
        let mode = match binary {
            Binary::Bytes => "bytes",
            Binary::Base64 => "base64",
            Binary::Base64UrlSafe => "base64-url-safe",
            Binary::Hex => "hex",
        };
        self.set("binary.handling.mode", mode)
    }

    /// Writes `interval` as an ISO string (`P1Y2M3DT4H5M6.78S`) instead of microseconds.
    #[must_use]
    pub fn interval_strings(self) -> Self {
        self.set("interval.handling.mode", "string")
    }

    /// Writes `hstore` as an object instead of a string that holds JSON.
    #[must_use]
    pub fn hstore_maps(self) -> Self {
        self.set("hstore.handling.mode", "map")
    }

    /// Writes columns whose type Debezium does not know, in base64, instead of leaving them out.
    #[must_use]
    pub fn unknown_types(self) -> Self {
        self.set("include.unknown.datatypes", "true")
    }

    /// Sends a tombstone after each delete.
    #[must_use]
    pub fn tombstones(self, are_sent: bool) -> Self {
        self.set("tombstones.on.delete", are_sent.to_string())
    }

    /// Writes a NULL as null where the column has a default; Connect writes the default otherwise.
    #[must_use]
    pub fn null_as_null(self) -> Self {
        self.set("key.converter.replace.null.with.default", "false")
            .set("value.converter.replace.null.with.default", "false")
    }

    /// Sends the begin and the end of each transaction to `<prefix>.transaction`, and names it in each event.
    #[must_use]
    pub fn transactions(self) -> Self {
        self.set("provide.transaction.metadata", "true")
    }

    /// Sends a heartbeat to `__debezium-heartbeat.<prefix>` this often; in whole milliseconds.
    #[must_use]
    pub fn heartbeat(self, interval: Duration) -> Self {
        self.set("heartbeat.interval.ms", interval.as_millis().to_string())
    }

    /// Names the table (`schema.table`) whose rows are signals to the connector, for incremental snapshots.
    #[must_use]
    pub fn signal_table(self, table: &str) -> Self {
        self.set("signal.data.collection", table)
    }

    /// Flattens envelopes to rows (`ExtractNewRecordState`).
    #[must_use]
    pub fn flattened(self, deletes: Deletes) -> Self {
        let mode = match deletes {
            Deletes::Drop => "drop",
            Deletes::Tombstone => "tombstone",
            Deletes::Rewrite => "rewrite",
            Deletes::RewriteWithTombstone => "rewrite-with-tombstone",
            Deletes::ToTombstone => "delete-to-tombstone",
        };
        self.transform(
            "unwrap",
            "io.debezium.transforms.ExtractNewRecordState",
            &[
                ("delete.tombstone.handling.mode", mode),
                ("add.fields", "op,table,lsn,source.ts_ms"),
            ],
        )
    }

    /// Makes events of the rows of an outbox table (`EventRouter`); those of other tables stay what they are.
    #[must_use]
    pub fn outbox(self, table: &str, settings: &[(&str, &str)]) -> Self {
        let topics = format!(".*{}", table.replace('.', "\\."));
        self.set("predicates", "isOutbox")
            .set(
                "predicates.isOutbox.type",
                "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
            )
            .set("predicates.isOutbox.pattern", topics)
            .transform(
                "outbox",
                "io.debezium.transforms.outbox.EventRouter",
                &[&[("predicate", "isOutbox")], settings].concat(),
            )
    }

    /// Adds a transform behind those that there are.
    #[must_use]
    pub fn transform(mut self, name: &str, class: &str, settings: &[(&str, &str)]) -> Self {
        let names = match self.settings.get("transforms") {
            Some(names) => format!("{names},{name}"),
            None => name.to_owned(),
        };
        for (key, value) in settings {
            self = self.set(format!("transforms.{name}.{key}"), *value);
        }
        self.set(format!("transforms.{name}.type"), class)
            .set("transforms", names)
    }

    /// Returns the prefix of its topics, which is also its name in Connect.
    pub fn prefix(&self) -> &str {
        self.setting("topic.prefix")
    }

    /// Returns the name of its replication slot.
    pub fn slot(&self) -> &str {
        self.setting("slot.name")
    }

    /// Returns all settings except for those of the database.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// Returns the settings with those of a database.
    pub fn config(&self, postgres: &Postgres, database: &Database) -> BTreeMap<String, String> {
        self.clone()
            .set("database.hostname", "127.0.0.1")
            .set("database.port", postgres.port().to_string())
            .set("database.user", postgres.user())
            .set("database.password", postgres.password())
            .set("database.dbname", database.name())
            .settings
    }

    /// Empty only if a test made it so.
    fn setting(&self, key: &str) -> &str {
        self.settings.get(key).map_or("", String::as_str)
    }
}

/// `decimal.handling.mode`, and the converter's `decimal.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimals {
    /// The unscaled value in base64. Debezium's default.
    Precise,
    /// A number, rounded to a double.
    Double,
    /// A string.
    String,
    /// A number with all its digits: `precise` with the format `NUMERIC`.
    Numeric,
}

/// `time.precision.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Milliseconds or microseconds, as the column needs. Debezium's default.
    Adaptive,
    /// The same, with `time` always in microseconds.
    AdaptiveMicroseconds,
    /// Connect's types: milliseconds.
    Connect,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
    /// ISO strings.
    IsoString,
}

/// `binary.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// Bytes, which the JSON converter writes in base64. Debezium's default.
    Bytes,
    /// A string in base64.
    Base64,
    /// A string in base64 for URLs.
    Base64UrlSafe,
    /// A string in hex.
    Hex,
}

/// `delete.tombstone.handling.mode` of `ExtractNewRecordState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// Neither deletes nor tombstones.
    Drop,
    /// Tombstones only. Debezium's default.
    Tombstone,
    /// The old row with `__deleted`, no tombstones.
    Rewrite,
    /// The old row with `__deleted`, then the tombstone.
    RewriteWithTombstone,
    /// Deletes become tombstones, those that follow are dropped.
    ToTombstone,
}

#[cfg(test)]
mod tests {
    use super::{Deletes, PostgresConnector};

    #[test]
    fn slot_and_publication_are_names_that_need_no_quotes() {
        let connector = PostgresConnector::new("flattened-drop");

        assert_eq!(connector.slot(), "debezium_flattened_drop");
        assert_eq!(connector.prefix(), "flattened-drop");
    }

    #[test]
    fn transforms_add_up() {
        let connector = PostgresConnector::new("a")
            .outbox("public.outbox", &[])
            .flattened(Deletes::Rewrite);

        assert_eq!(connector.settings()["transforms"], "outbox,unwrap");
        assert_eq!(
            connector.settings()["predicates.isOutbox.pattern"],
            ".*public\\.outbox"
        );
    }
}
