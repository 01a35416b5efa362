//! The configurations of the connector of which there are goldens.

use std::time::Duration;

use test_support::{Binary, Decimals, Deletes, PostgresConnector, Times};

/// A configuration, and which tables it follows.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    connector: PostgresConnector,
}

/// Tables of [`SCHEMA`](super::case::SCHEMA) with two replica identities.
const USERS: &[&str] = &["users", "users_full"];

/// Tables about rows: identities, keys, operations.
const ROWS: &[&str] = &[
    "strict",
    "users_index",
    "users_nothing",
    "keyless",
    "keyless_full",
    "members",
    "odd_keys",
    "odd_names",
    "lookalike",
    "truncated",
    "truncated_too",
    "visits_eu",
    "visits_us",
    "evolving",
];

/// Tables with columns of all types.
const COLUMNS: &[&str] = &[
    "numbers",
    "not_numbers",
    "infinite_decimals",
    "texts",
    "bytes",
    "times",
    "structures",
];

/// Tables with values out of line.
const TOAST: &[&str] = &["toasted", "toasted_full", "articles"];

const NUMBERS: &[&str] = &["numbers", "not_numbers", "infinite_decimals"];
const TIMES: &[&str] = &["times", "structures"];
const BYTES: &[&str] = &["bytes", "structures", "toasted"];

/// Returns all configurations. The prefix of the topics is the configuration's name.
pub(crate) fn configurations() -> Vec<Configuration> {
    let everything = [
        USERS,
        ROWS,
        COLUMNS,
        TOAST,
        &["unknown_types", "damaged", "outbox"],
    ];
    let wrapped = [
        USERS,
        COLUMNS,
        &[
            "members",
            "odd_keys",
            "keyless",
            "odd_names",
            "lookalike",
            "truncated",
        ],
    ];
    let flattened = [
        USERS,
        &["members", "keyless", "odd_names", "truncated", "articles"],
    ];
    [
        with("bare", &everything).transactions(),
        with("wrapped", &wrapped)
            .key_schema(true)
            .value_schema(true)
            .transactions(),
        with("wrapped-value", &[USERS, &["lookalike"]]).value_schema(true),
        with("wrapped-key", &[USERS, &["lookalike"]]).key_schema(true),
        // What the service that the project is made for runs.
        with("tombstones-off", &[USERS, &["members", "lookalike"]]).tombstones(false),
        with("null-as-null", &[USERS, &["members", "strict", "evolving"]]).null_as_null(),
        // Without what the rig adds: TRUNCATE is skipped.
        with("debezium-defaults", &[&["users", "truncated"]]).set("skipped.operations", "t"),
        with("decimal-string", &[NUMBERS]).decimals(Decimals::String),
        with("decimal-double", &[NUMBERS]).decimals(Decimals::Double),
        with("decimal-numeric", &[NUMBERS]).decimals(Decimals::Numeric),
        with("time-microseconds-of-day", &[TIMES]).times(Times::AdaptiveMicroseconds),
        with("time-connect", &[TIMES]).times(Times::Connect),
        with("time-microseconds", &[TIMES]).times(Times::Microseconds),
        with("time-nanoseconds", &[TIMES]).times(Times::Nanoseconds),
        with("time-isostring", &[TIMES]).times(Times::IsoString),
        with("interval-string", &[&["times"]]).interval_strings(),
        with("binary-base64", &[BYTES]).binary(Binary::Base64),
        with("binary-base64-url-safe", &[BYTES]).binary(Binary::Base64UrlSafe),
        with("binary-hex", &[BYTES]).binary(Binary::Hex),
        with("hstore-map", &[&["structures", "strict", "toasted"]]).hstore_maps(),
        with("unknown-types", &[&["unknown_types", "damaged"]]).unknown_types(),
        with("flattened-drop", &flattened).flattened(Deletes::Drop),
        with("flattened-tombstone", &flattened).flattened(Deletes::Tombstone),
        with("flattened-rewrite", &flattened).flattened(Deletes::Rewrite),
        with("flattened-rewrite-with-tombstone", &flattened)
            .flattened(Deletes::RewriteWithTombstone),
        with("flattened-delete-to-tombstone", &flattened).flattened(Deletes::ToTombstone),
        with("flattened-wrapped", &[USERS])
            .key_schema(true)
            .value_schema(true)
            .flattened(Deletes::Rewrite),
        // The transform has a setting of its own, without which the converter's has no effect.
        with("flattened-null-as-null", &[USERS])
            .null_as_null()
            .flattened(Deletes::Rewrite)
            .set("transforms.unwrap.replace.null.with.default", "false"),
        with("outbox", &[&["users", "outbox"]]).outbox("public.outbox", &[]),
        with("outbox-expanded", &[&["outbox"]]).outbox(
            "public.outbox",
            &[
                ("table.expand.json.payload", "true"),
                ("table.fields.additional.placement", "type:header:eventType"),
                // Beside the other, which has the default topics.
                (
                    "route.topic.replacement",
                    "outbox-expanded.${routedByValue}",
                ),
            ],
        ),
        with("incremental", &[&["backlog", "debezium_signal"]])
            .signal_table("public.debezium_signal")
            .set("incremental.snapshot.chunk.size", "3")
            .heartbeat(Duration::from_secs(20)),
    ]
    .map(|connector| Configuration { connector })
    .into()
}

/// With Debezium's default of a tombstone after each delete, unlike the rig's.
fn with(name: &str, tables: &[&[&str]]) -> PostgresConnector {
    let tables = tables.iter().copied().flatten();
    PostgresConnector::new(name)
        .tables(tables.map(|table| format!("public.{table}")))
        .tombstones(true)
}

impl Configuration {
    pub(crate) fn name(&self) -> &str {
        self.connector.prefix()
    }

    pub(crate) fn connector(&self) -> &PostgresConnector {
        &self.connector
    }

    /// Says whether a topic is one that this connector writes.
    pub(crate) fn owns(&self, topic: &str) -> bool {
        let name = self.name();
        topic
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
            || topic == format!("__debezium-heartbeat.{name}")
            // The default of the event router.
            || (name == "outbox" && topic.starts_with("outbox.event."))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use serde_json::{Value, json};

    use super::configurations;
    use crate::cdc::case::cases;

    #[test]
    fn the_goldens_are_of_these_configurations_and_cases() -> anyhow::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../goldens");
        let mut known: BTreeSet<String> = cases()?.into_iter().map(|case| case.name).collect();
        known.insert("snapshot".into());
        let mut files = 0;

        for configuration in configurations() {
            let file = folder.join(format!("{}.ndjson", configuration.name()));
            let text = fs::read_to_string(&file)?;
            let mut lines = text.lines().map(serde_json::from_str::<Value>);

            let head = lines.next().transpose()?.unwrap_or_default();
            assert_eq!(head["configuration"], configuration.name());
            let settings = json!(configuration.connector().settings());
            assert_eq!(head["connector"], settings, "{}", configuration.name());
            for line in lines {
                let case = line?["case"].as_str().unwrap_or_default().to_owned();
                assert!(known.contains(&case), "{case} in {}", configuration.name());
            }
            files += 1;
        }

        let goldens = fs::read_dir(folder)?
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "ndjson"));
        assert_eq!(goldens.count(), files, "files of no configuration");
        Ok(())
    }

    #[test]
    fn a_topic_belongs_to_one_configuration() {
        let all = configurations();

        for topic in [
            "wrapped.public.users",
            "wrapped-key.public.users",
            "outbox.event.order",
            "outbox-expanded.order",
            "__debezium-heartbeat.incremental",
        ] {
            let owners = all.iter().filter(|one| one.owns(topic)).count();
            assert_eq!(owners, 1, "{topic}");
        }
    }
}
