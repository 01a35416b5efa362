//! The configurations of the connector of which there are goldens.

use test_support::{Deletes, PostgresConnector};

/// A configuration, and which tables it follows.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    connector: PostgresConnector,
}

/// Tables of [`SCHEMA`](super::case::SCHEMA) about rows: identities, keys, operations.
const ROWS: [&str; 2] = ["users", "users_full"];

/// Returns all configurations. The prefix of the topics is the configuration's name.
pub(crate) fn configurations() -> Vec<Configuration> {
    let of = |name: &str, tables: &[&str]| {
        PostgresConnector::new(name)
            .tables(tables.iter().map(|table| format!("public.{table}")))
            .tombstones(true)
    };
    [
        of("bare", &ROWS).transactions(),
        of("wrapped", &ROWS).key_schema(true).value_schema(true),
        of("flattened-rewrite", &ROWS).flattened(Deletes::Rewrite),
    ]
    .map(|connector| Configuration { connector })
    .into()
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
    }
}
