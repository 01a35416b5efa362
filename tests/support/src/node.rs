//! One broker: starts, waits until it serves, and does to it what happens to brokers.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::Signal;

use crate::RigError;
use crate::error::tail;
use crate::java::{Java, Tuning};
use crate::process::WatchedProcess;

/// Thirty times what an idle machine needs.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A broker that hands over its partitions first needs a second; one that hangs is killed.
const STOP_LIMIT: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(20);

/// How much of a log an error shows: a stack trace and what led to it.
const LOG_LINES: usize = 40;

/// A node of a [`KafkaCluster`](crate::KafkaCluster): broker and controller in one process.
///
/// All its methods block, for as long as a broker takes to start or stop.
pub struct Node {
    id: usize,
    port: u16,
    log: PathBuf,
    command_line: Vec<OsString>,
    /// `None` while the node is down.
    process: Mutex<Option<WatchedProcess>>,
}

/// What the nodes of a cluster have in common.
pub(crate) struct NodeTemplate<'a> {
    pub(crate) java: &'a Java,
    pub(crate) jars: &'a Path,
    pub(crate) log4j: &'a Path,
    pub(crate) tuning: Tuning,
    pub(crate) heap_megabytes: u32,
    pub(crate) cluster_id: &'a str,
    /// Arguments for the storage tool that make users known.
    pub(crate) scram: Option<String>,
}

impl Node {
    /// Prepares node `id` in `folder` and formats its log folder. Does not start it.
    pub(crate) fn create(
        template: &NodeTemplate<'_>,
        id: usize,
        port: u16,
        folder: &Path,
        properties: &str,
    ) -> Result<Self, RigError> {
        let file = folder.join("server.properties");
        fs::write(&file, properties).map_err(RigError::io(format!("write {}", file.display())))?;
        template.format(id, &file)?;

        let mut command_line = template.command_line(template.tuning, "kafka.Kafka");
        command_line.push(file.into_os_string());
        Ok(Self {
            id,
            port,
            log: folder.join("node.log"),
            command_line,
            process: Mutex::new(None),
        })
    }

    /// Returns the `node.id`, 1 for the first.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Returns the node's own plaintext address.
    pub fn bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the file with what the node logged.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Returns whether it was started and neither stopped nor killed since.
    pub(crate) fn is_up(&self) -> bool {
        self.process().is_some()
    }

    /// Ends the node at once (SIGKILL), as a power cut would. Idempotent.
    pub fn kill(&self) {
        self.process().take();
    }

    /// Ends the node in order (SIGTERM): it hands over its partitions first. Idempotent.
    ///
    /// # Errors
    ///
    /// [`RigError::Io`] if the process cannot be signalled.
    pub fn stop(&self) -> Result<(), RigError> {
        let Some(mut process) = self.process().take() else {
            return Ok(());
        };
        // A stopped process would keep the signal for later.
        process.signal(Signal::CONT)?;
        process.signal(Signal::TERM)?;
        process.wait(STOP_LIMIT)?;
        Ok(()) // dropping the process kills what is left of it
    }

    /// Starts the node with the ports and data that it had, and waits until it serves.
    /// Does nothing if it runs.
    ///
    /// # Errors
    ///
    /// [`RigError::NodeEnded`] or [`RigError::NotReady`], with the end of its log.
    pub fn start_again(&self) -> Result<(), RigError> {
        self.spawn()?;
        self.wait_until_serving(&[self.id])
    }

    /// Stops the node from doing anything (SIGSTOP) with all its connections open.
    ///
    /// # Errors
    ///
    /// [`RigError::NodeDown`] if it does not run.
    pub fn suspend(&self) -> Result<(), RigError> {
        self.signal(Signal::STOP)
    }

    /// Lets a suspended node go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// [`RigError::NodeDown`] if it does not run.
    pub fn resume(&self) -> Result<(), RigError> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), RigError> {
        self.process()
            .as_ref()
            .ok_or(RigError::NodeDown(self.id))?
            .signal(signal)
    }

    /// Starts the process and returns at once.
    pub(crate) fn spawn(&self) -> Result<(), RigError> {
        let mut process = self.process();
        if process.is_some() {
            return Ok(());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(RigError::io(format!("open {}", self.log.display())))?;
        *process = Some(WatchedProcess::spawn(&self.command_line, &log)?);
        Ok(())
    }

    /// Waits until this node names all of `ids` as brokers of its cluster.
    pub(crate) fn wait_until_serving(&self, ids: &[usize]) -> Result<(), RigError> {
        let deadline = Instant::now() + START_LIMIT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while TcpStream::connect_timeout(&address, POLL).is_err() {
            self.wait_a_little(deadline)?;
        }
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap_servers())
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .map_err(RigError::client("create a client"))?;
        while !knows_brokers(&client, ids) {
            self.wait_a_little(deadline)?;
        }
        Ok(())
    }

    fn wait_a_little(&self, deadline: Instant) -> Result<(), RigError> {
        if let Some(process) = self.process().as_mut()
            && let Some(status) = process.ended()?
        {
            return Err(self.why_ended(status));
        }
        if Instant::now() >= deadline {
            return Err(RigError::NotReady {
                node: self.id,
                waited: START_LIMIT,
                tail: tail(&self.log_text(), LOG_LINES),
            });
        }
        thread::sleep(POLL);
        Ok(())
    }

    fn why_ended(&self, status: ExitStatus) -> RigError {
        let log = self.log_text();
        if log.contains("Address already in use") {
            return RigError::PortTaken { node: self.id };
        }
        RigError::NodeEnded {
            node: self.id,
            status: status.to_string(),
            tail: tail(&log, LOG_LINES),
        }
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

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .field("port", &self.port)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl NodeTemplate<'_> {
    fn command_line(&self, tuning: Tuning, main_class: &str) -> Vec<OsString> {
        self.java.command_line(
            self.jars,
            self.log4j,
            tuning,
            self.heap_megabytes,
            main_class,
        )
    }

    /// Runs Kafka's storage tool, without which a node does not start.
    fn format(&self, id: usize, properties: &Path) -> Result<(), RigError> {
        let line = self.command_line(Tuning::QuickStart, "kafka.tools.StorageTool");
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .args(["format", "-t", self.cluster_id, "-c"])
            .arg(properties)
            .stdin(Stdio::null());
        if let Some(scram) = &self.scram {
            command.args(["--add-scram", scram]);
        }
        let output = command.output().map_err(RigError::io("run java"))?;
        if output.status.success() {
            return Ok(());
        }
        let printed = [output.stdout, output.stderr].concat();
        Err(RigError::Format {
            node: id,
            output: tail(&String::from_utf8_lossy(&printed), 20),
        })
    }
}

fn knows_brokers(client: &BaseConsumer, ids: &[usize]) -> bool {
    let Ok(metadata) = client.fetch_metadata(None, Duration::from_secs(1)) else {
        return false; // it does not serve yet
    };
    ids.iter().all(|id| {
        metadata
            .brokers()
            .iter()
            .any(|broker| usize::try_from(broker.id()) == Ok(*id))
    })
}
