//! A worker of Kafka Connect with Debezium's connector for PostgreSQL, ended with the test.
//!
//! It runs in distributed mode, as in production: its state is in topics, so a worker that was killed goes on where its
//! last flush of offsets was. Everything is asked through its REST interface.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::LOG4J;
use crate::error::tail;
use crate::jars::{Bundle, DEBEZIUM_VERSION, DEFAULT_VERSION};
use crate::java::{Java, Tuning};
use crate::process::WatchedProcess;
use crate::rest::Rest;
use crate::{KafkaCluster, RigError, port};

/// Fifteen times what an idle machine needs, and time for a killed worker to be taken for dead.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A connector starts in a second, and starts its task in another.
const CONNECTOR_LIMIT: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(50);

const LOG_LINES: usize = 40;

/// Two dozen connectors fit in it.
const HEAP_MEGABYTES: u32 = 512;

/// Where Connect's defaults are made for workers that live longer than a test. The converters are the seed's.
const FOR_TESTS: [(&str, &str); 20] = [
    ("group.id", "connect-cluster"),
    ("config.storage.topic", "connect-cluster-configs"),
    ("config.storage.replication.factor", "1"),
    ("offset.storage.topic", "connect-cluster-offsets"),
    ("offset.storage.replication.factor", "1"),
    ("offset.storage.partitions", "1"),
    ("status.storage.topic", "connect-cluster-status"),
    ("status.storage.replication.factor", "1"),
    ("status.storage.partitions", "1"),
    (
        "key.converter",
        "org.apache.kafka.connect.json.JsonConverter",
    ),
    ("key.converter.schemas.enable", "false"),
    (
        "value.converter",
        "org.apache.kafka.connect.json.JsonConverter",
    ),
    ("value.converter.schemas.enable", "false"),
    ("rest.advertised.host.name", "127.0.0.1"),
    // What a killed worker repeats; a minute by default.
    ("offset.flush.interval.ms", "1000"),
    // How long a killed worker is still taken for alive, and how long its tasks wait for it: 10 s and 5 minutes.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1000"),
    ("scheduled.rebalance.max.delay.ms", "0"),
    // All plugins here have manifests; scanning their classes takes seconds.
    ("plugin.discovery", "service_load"),
    ("topic.creation.enable", "true"),
];

/// A worker of Kafka Connect.
///
/// Dropping it kills the worker. All its methods block, for as long as Connect takes.
pub struct Connect {
    rest: Rest,
    log: PathBuf,
    command_line: Vec<OsString>,
    /// `None` while the worker is down.
    process: Mutex<Option<WatchedProcess>>,
    _folder: TempDir,
}

/// Says what a [`Connect`] is to be like.
#[derive(Clone, Debug, Default)]
pub struct ConnectBuilder {
    properties: BTreeMap<String, String>,
}

impl ConnectBuilder {
    /// Sets a property of the worker, over what the rig would set.
    #[must_use]
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }

    /// Starts the worker beside a Kafka that runs, and waits until it answers. Blocks for some seconds, and for the
    /// download on a machine's first start.
    ///
    /// # Errors
    ///
    /// [`RigError::ConnectFailed`] with the end of its log, and those of finding Java and the jars.
    pub fn start(self, cluster: &KafkaCluster) -> Result<Connect, RigError> {
        let java = Java::find()?;
        let (jars, plugins) = Connect::fetch()?;
        let folder = tempfile::Builder::new()
            .prefix("kafka-runtime-connect-")
            .tempdir()
            .map_err(RigError::io("create a temporary folder"))?;
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).map_err(RigError::io(format!("write {}", path.display())))?;
            Ok::<_, RigError>(path)
        };
        let address = format!("http://127.0.0.1:{}", port::free(1)?[0]);
        let log4j = write("log4j.properties", LOG4J.into())?;
        let properties = self.worker_properties(cluster, &address, &plugins);
        let properties = write("worker.properties", properties)?;
        let mut command_line = java.command_line(
            &jars,
            &log4j,
            Tuning::QuickStart,
            HEAP_MEGABYTES,
            "org.apache.kafka.connect.cli.ConnectDistributed",
        );
        command_line.push(properties.into_os_string());
        let connect = Connect {
            rest: Rest::new(address),
            log: folder.path().join("connect.log"),
            command_line,
            process: Mutex::new(None),
            _folder: folder,
        };
        connect.start_again()?;
        Ok(connect)
    }

    fn worker_properties(&self, cluster: &KafkaCluster, address: &str, plugins: &Path) -> String {
        let mut properties: BTreeMap<String, String> = FOR_TESTS
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut set = |key: &str, value: String| properties.insert(key.to_owned(), value);
        set("bootstrap.servers", cluster.bootstrap_servers().into());
        set("listeners", address.into());
        set("plugin.path", plugins.display().to_string());
        properties.extend(self.properties.clone());
        let lines: Vec<String> = properties
            .iter()
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect();
        lines.concat()
    }
}

impl Connect {
    /// Starts the description of a worker.
    pub fn builder() -> ConnectBuilder {
        ConnectBuilder::default()
    }

    /// Returns why Connect cannot be started on this machine, if it cannot.
    pub fn obstacle() -> Option<RigError> {
        let missing = |bundle: Result<Bundle, RigError>| match bundle {
            Ok(bundle) => bundle.obstacle(),
            Err(error) => Some(error),
        };
        Java::find()
            .err()
            .or_else(|| missing(Bundle::connect(DEFAULT_VERSION)))
            .or_else(|| missing(Bundle::debezium_postgres(DEBEZIUM_VERSION)))
    }

    /// Brings the jars of the worker and the folder of the connector, if they are not there.
    pub(crate) fn fetch() -> Result<(PathBuf, PathBuf), RigError> {
        let jars = Bundle::connect(DEFAULT_VERSION)?.fetch()?;
        let plugins = Bundle::debezium_postgres(DEBEZIUM_VERSION)?.fetch()?;
        Ok((jars, plugins))
    }

    /// Starts a worker beside a Kafka that runs, see [`ConnectBuilder::start`].
    ///
    /// # Errors
    ///
    /// Those of [`ConnectBuilder::start`].
    pub fn start(cluster: &KafkaCluster) -> Result<Self, RigError> {
        Self::builder().start(cluster)
    }

    /// Returns the address of the REST interface, such as `http://127.0.0.1:20083`.
    pub fn rest_url(&self) -> &str {
        self.rest.address()
    }

    /// Returns the file with what the worker and its connectors logged.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Creates a connector, or gives it another configuration. Returns once Connect has stored it, before it runs.
    ///
    /// # Errors
    ///
    /// [`RigError::ConnectRefused`] with what Connect, or the connector's own checks, found wrong.
    pub fn create_connector(
        &self,
        name: &str,
        config: &BTreeMap<String, String>,
    ) -> Result<(), RigError> {
        self.rest.put(&format!("/connectors/{name}/config"), config)
    }

    /// Waits until a connector and its task run. A task that runs may still be reading the first snapshot.
    ///
    /// # Errors
    ///
    /// [`RigError::ConnectorFailed`] with the stack trace as soon as one of them failed, or with the last status after a
    /// minute.
    pub fn wait_running(&self, name: &str) -> Result<(), RigError> {
        let deadline = Instant::now() + CONNECTOR_LIMIT;
        loop {
            let status = self.rest.get(&format!("/connectors/{name}/status"))?;
            let state = status.as_ref().map_or(State::Starting, State::of);
            if state == State::Running {
                return Ok(());
            }
            if state == State::Failed || Instant::now() >= deadline {
                return Err(RigError::ConnectorFailed {
                    name: name.into(),
                    status: status.map_or_else(|| "no status yet".into(), |status| shown(&status)),
                });
            }
            thread::sleep(POLL);
        }
    }

    /// Restarts a connector and its tasks, and waits until they run.
    ///
    /// # Errors
    ///
    /// [`RigError::ConnectRefused`], and those of [`wait_running`](Self::wait_running).
    pub fn restart_connector(&self, name: &str) -> Result<(), RigError> {
        self.rest
            .post(&format!("/connectors/{name}/restart?includeTasks=true"))?;
        self.wait_running(name)
    }

    /// Deletes a connector. Its slot, and what it stored of its position, stay.
    ///
    /// # Errors
    ///
    /// [`RigError::ConnectRefused`] if there is none, among others.
    pub fn delete_connector(&self, name: &str) -> Result<(), RigError> {
        self.rest.delete(&format!("/connectors/{name}"))
    }

    /// Ends the worker at once (SIGKILL), as a power cut would. Idempotent.
    pub fn kill(&self) {
        self.process().take();
    }

    /// Starts the worker with the address that it had, and waits until it answers; its connectors go on from their last
    /// stored offsets. Does nothing if it runs.
    ///
    /// # Errors
    ///
    /// [`RigError::ConnectFailed`] with the end of its log.
    pub fn start_again(&self) -> Result<(), RigError> {
        let mut process = self.process();
        if process.is_some() {
            return Ok(());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(RigError::io(format!("open {}", self.log.display())))?;
        let mut started = WatchedProcess::spawn(&self.command_line, &log)?;
        let deadline = Instant::now() + START_LIMIT;
        // Nothing is there at first; then this waits until the worker is a member of its group and has read its topics.
        while !matches!(self.rest.get("/connectors"), Ok(Some(_))) {
            let reason = match started.ended()? {
                Some(status) => status.to_string(),
                None if Instant::now() >= deadline => format!("no answer after {START_LIMIT:?}"),
                None => {
                    thread::sleep(POLL);
                    continue;
                }
            };
            return Err(RigError::ConnectFailed {
                reason,
                tail: tail(&self.log_text(), LOG_LINES),
            });
        }
        *process = Some(started);
        Ok(())
    }

    fn log_text(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("({error})"),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    fn process(&self) -> MutexGuard<'_, Option<WatchedProcess>> {
        // A panic while it was held leaves nothing half done.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("rest", &self.rest_url())
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// What a connector's status comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The connector or its task is not there yet, or about to restart.
    Starting,
    Running,
    Failed,
}

impl State {
    fn of(status: &Value) -> Self {
        let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        let mut all = tasks
            .iter()
            .chain([&status["connector"]])
            .map(|part| part["state"].as_str().unwrap_or_default());
        if all.clone().any(|state| state == "FAILED") {
            Self::Failed
        } else if !tasks.is_empty() && all.all(|state| state == "RUNNING") {
            Self::Running
        } else {
            Self::Starting
        }
    }
}

/// Stack traces keep their lines, which they do not within JSON.
fn shown(status: &Value) -> String {
    format!("{status:#}")
        .replace("\\n", "\n")
        .replace("\\t", "  ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{State, shown};

    #[test]
    fn a_connector_runs_once_its_task_does() {
        let without = json!({"connector": {"state": "RUNNING"}, "tasks": []});
        let with = json!({"connector": {"state": "RUNNING"}, "tasks": [{"state": "RUNNING"}]});

        assert_eq!(State::of(&without), State::Starting);
        assert_eq!(State::of(&with), State::Running);
    }

    #[test]
    fn a_failed_task_is_a_failed_connector_and_its_trace_is_readable() {
        let status = json!({
            "connector": {"state": "RUNNING"},
            "tasks": [{"state": "FAILED", "trace": "Exception: no\n\tat Task"}],
        });

        assert_eq!(State::of(&status), State::Failed);
        assert!(shown(&status).contains("Exception: no\n  at Task"));
    }
}
