//! The whole way of a change: PostgreSQL, Debezium in Kafka Connect, Kafka.

use std::thread;
use std::time::{Duration, Instant};

use crate::trial::Rig;
use crate::{
    ClusterBuilder, Connect, ConnectBuilder, Database, KafkaCluster, Postgres, PostgresConnector,
    RigError,
};

/// A connector streams a second after it runs, unless its snapshot is long.
const STREAMING_LIMIT: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(20);

/// A running PostgreSQL, Kafka, and Kafka Connect with Debezium's connector.
///
/// Dropping it ends them and removes their data; they end too if this process dies.
///
/// ```no_run
/// use test_support::{Pipeline, PostgresConnector, TestResult, Topics};
///
/// # async fn example() -> TestResult {
/// let pipeline = Pipeline::start()?;
/// let auth = pipeline.postgres().create_database("auth").await?;
/// auth.execute("CREATE TABLE users (id int PRIMARY KEY)").await?;
///
/// let connector = PostgresConnector::new("auth").tables(["public.users"]);
/// pipeline.capture(&auth, &connector).await?;
/// auth.execute("INSERT INTO users VALUES (1)").await?;
///
/// // A moment later there is a record in auth.public.users.
/// let topics = Topics::new(pipeline.kafka().bootstrap_servers())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pipeline {
    /// Declared in the order of their ends: who reads before who is read.
    connect: Connect,
    kafka: KafkaCluster,
    postgres: Postgres,
}

/// Says what a [`Pipeline`] is to be like.
#[derive(Clone, Debug, Default)]
pub struct PipelineBuilder {
    kafka: ClusterBuilder,
    connect: ConnectBuilder,
    tells_progress: bool,
}

impl PipelineBuilder {
    /// Sets what Kafka is to be like; one node without TLS otherwise.
    #[must_use]
    pub fn kafka(mut self, kafka: ClusterBuilder) -> Self {
        self.kafka = kafka;
        self
    }

    /// Sets what Connect is to be like.
    #[must_use]
    pub fn connect(mut self, connect: ConnectBuilder) -> Self {
        self.connect = connect;
        self
    }

    /// Writes a line to standard error for each part that has started.
    #[must_use]
    pub fn tells_progress(mut self) -> Self {
        self.tells_progress = true;
        self
    }

    /// Returns why the pipeline cannot be started on this machine, if it cannot.
    pub fn obstacle(&self) -> Option<RigError> {
        Postgres::obstacle()
            .or_else(|| self.kafka.obstacle())
            .or_else(Connect::obstacle)
    }

    /// Starts all parts, PostgreSQL beside Kafka. Blocks for about six seconds, and for the downloads on a machine's
    /// first start.
    ///
    /// # Errors
    ///
    /// That of the part that did not start.
    pub fn start(self) -> Result<Pipeline, RigError> {
        let started = Instant::now();
        let tells_progress = self.tells_progress;
        let tell = move |part: &str| {
            if tells_progress {
                progress(&format!("{part} runs after {:.1?}", started.elapsed()));
            }
        };
        thread::scope(|scope| {
            let postgres = scope.spawn(move || {
                let postgres = Postgres::start()?;
                tell(&format!("PostgreSQL {}", postgres.version()));
                Ok::<_, RigError>(postgres)
            });
            // While Kafka starts: on a first start this is what takes longest.
            let fetched = scope.spawn(|| Connect::fetch().map(drop));
            let kafka = self.kafka.start();
            let connect = kafka.and_then(|kafka| {
                tell("Apache Kafka");
                joined(fetched)?;
                let connect = self.connect.start(&kafka)?;
                tell("Kafka Connect");
                Ok((kafka, connect))
            });
            let postgres = joined(postgres)?;
            let (kafka, connect) = connect?;
            Ok(Pipeline {
                connect,
                kafka,
                postgres,
            })
        })
    }
}

/// Returns what the thread returned; goes on with its panic, if it panicked.
fn joined<T>(handle: thread::ScopedJoinHandle<'_, Result<T, RigError>>) -> Result<T, RigError> {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Rig for PipelineBuilder {
    type Running = Pipeline;

    fn obstacle(&self) -> Option<RigError> {
        self.obstacle()
    }

    fn start(self) -> Result<Pipeline, RigError> {
        self.start()
    }
}

impl Pipeline {
    /// Starts the description of a pipeline.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// Starts a pipeline, see [`PipelineBuilder::start`].
    ///
    /// # Errors
    ///
    /// Those of [`PipelineBuilder::start`].
    pub fn start() -> Result<Self, RigError> {
        Self::builder().start()
    }

    /// Returns PostgreSQL, where changes begin.
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// Returns Kafka, where they arrive.
    pub fn kafka(&self) -> &KafkaCluster {
        &self.kafka
    }

    /// Returns Kafka Connect, which carries them.
    pub fn connect(&self) -> &Connect {
        &self.connect
    }

    /// Creates a connector, or changes it, and waits until it streams: its snapshot is in Kafka, or about to be, and
    /// what is changed from now on is read from the log. Its tables must exist.
    ///
    /// # Errors
    ///
    /// [`RigError::ConnectRefused`], [`RigError::ConnectorFailed`], or [`RigError::NotInTime`] if it still reads its
    /// snapshot after a minute.
    pub async fn capture(
        &self,
        database: &Database,
        connector: &PostgresConnector,
    ) -> Result<(), RigError> {
        let config = connector.config(&self.postgres, database);
        self.connect.create_connector(connector.prefix(), &config)?;
        self.wait_streaming(database, connector).await
    }

    /// Waits until a connector reads from its slot, as after a restart.
    ///
    /// # Errors
    ///
    /// [`RigError::ConnectorFailed`], or [`RigError::NotInTime`] after a minute.
    pub async fn wait_streaming(
        &self,
        database: &Database,
        connector: &PostgresConnector,
    ) -> Result<(), RigError> {
        let is_read = format!(
            "SELECT 1 FROM pg_stat_replication JOIN pg_replication_slots ON pid = active_pid WHERE slot_name = '{}'",
            connector.slot()
        );
        let session = database.session().await?;
        let deadline = Instant::now() + STREAMING_LIMIT;
        loop {
            self.connect.wait_running(connector.prefix())?;
            if !session.query(&is_read).await?.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(RigError::NotInTime {
                    waiting_for: format!("connector {} reads from its slot", connector.prefix()),
                    waited: STREAMING_LIMIT,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

#[expect(clippy::print_stderr, reason = "asked for by who starts it")]
fn progress(line: &str) {
    eprintln!("{line}");
}
