//! What a test plays on: a database, the connector that follows it, and the topics with its changes.

use std::time::Duration;

use kafka_runtime::Config;
use serde_json::Value;
use test_support::{
    Database, Pipeline, PostgresConnector, StoredRecord, Topics, eventually, unique_name,
};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Until everything that a test waits for has come about. Long: two cores are shared by many.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// A database whose changes arrive in Kafka.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) database: Database,
    pub(crate) connector: PostgresConnector,
    pub(crate) topics: Topics,
}

impl<'a> Stage<'a> {
    /// Creates a database, runs `schema` in it, and has a connector follow all its tables. The topics are
    /// `<name>.public.<table>`.
    pub(crate) async fn set(
        pipeline: &'a Pipeline,
        name: &str,
        schema: &str,
    ) -> Result<Self, BoxError> {
        Self::set_with(pipeline, name, schema, |connector| connector).await
    }

    /// Does the same with a connector that is configured by `configure`. Without it, it has the rig's defaults, and sends
    /// tombstones.
    pub(crate) async fn set_with(
        pipeline: &'a Pipeline,
        name: &str,
        schema: &str,
        configure: impl FnOnce(PostgresConnector) -> PostgresConnector,
    ) -> Result<Self, BoxError> {
        let database = pipeline.postgres().create_database(name).await?;
        database.execute(schema).await?;
        let connector = configure(PostgresConnector::new(name).tombstones(true));
        pipeline.capture(&database, &connector).await?;
        Ok(Self {
            pipeline,
            database,
            connector,
            topics: Topics::new(pipeline.kafka().bootstrap_servers())?,
        })
    }

    /// Returns a name for [`set`](Self::set) that no other test has, for those that do not care.
    pub(crate) fn any_name() -> String {
        unique_name("cdc").replace('-', "_")
    }

    /// Runs statements. More than one are one transaction, unless they say otherwise.
    pub(crate) async fn sql(&self, statements: &str) -> Result<(), BoxError> {
        Ok(self.database.execute(statements).await?)
    }

    /// Returns the topic with the changes of a table.
    pub(crate) fn topic(&self, table: &str) -> String {
        format!("{}.public.{table}", self.connector.prefix())
    }

    /// Waits until the changes of a table are at least `count` records, and returns them by partition and offset.
    pub(crate) async fn records(
        &self,
        table: &str,
        count: usize,
    ) -> Result<Vec<StoredRecord>, BoxError> {
        let topic = self.topic(table);
        let mut records = Vec::new();
        eventually(LIMIT, async || {
            // The topic comes to be with its first record.
            records = self.topics.read_all(&topic).await.unwrap_or_default();
            records.len() >= count
        })
        .await?;
        Ok(records)
    }

    /// Returns the configuration of a service that consumes the changes in this group, from the beginning.
    pub(crate) fn config(&self, group_id: &str) -> Config {
        Config::new()
            .bootstrap_servers(self.pipeline.kafka().bootstrap_servers())
            .ssl(false)
            .group_id(group_id)
    }

    /// Waits until Connect has noted down that the connector sent a change that was not part of its snapshot.
    pub(crate) async fn wait_noted(&self) -> Result<(), BoxError> {
        let key = format!(r#"["{}","#, self.connector.prefix());
        eventually(LIMIT, async || {
            let noted = self.topics.read_all("connect-cluster-offsets").await;
            noted.unwrap_or_default().iter().any(|record| {
                let offset = event(record).unwrap_or_default();
                // The rows of a snapshot have `READ`, or none.
                record.key_text().starts_with(&key) && offset["messageType"] == "INSERT"
            })
        })
        .await?;
        Ok(())
    }

    /// Ends the worker of Kafka Connect as a power cut would, starts it again, and waits until the connector streams.
    pub(crate) async fn restart_connect(&self) -> Result<(), BoxError> {
        let connect = self.pipeline.connect();
        connect.kill();
        connect.start_again()?;
        let streams = self
            .pipeline
            .wait_streaming(&self.database, &self.connector);
        Ok(streams.await?)
    }
}

/// Returns the event of a record, `Null` for a tombstone.
pub(crate) fn event(record: &StoredRecord) -> Result<Value, BoxError> {
    match &record.value {
        Some(value) => Ok(serde_json::from_slice(value)?),
        None => Ok(Value::Null),
    }
}

/// Returns the operations of records, "tombstone" for those.
pub(crate) fn operations(records: &[StoredRecord]) -> Result<Vec<String>, BoxError> {
    records
        .iter()
        .map(|record| {
            let event = event(record)?;
            Ok(event["op"].as_str().unwrap_or("tombstone").to_owned())
        })
        .collect()
}
