//! A PostgreSQL for tests: on 127.0.0.1, with logical replication, ended with the test.
//!
//! Its programs are found in `$KAFKA_RUNTIME_POSTGRES` (a folder), else along the `PATH`, else where Debian puts them.
//! They refuse to run as root; there they run as the user `postgres`, else as `nobody`.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::database::Database;
use crate::error::tail;
use crate::process::{User, WatchedProcess};
use crate::{RigError, port};

/// The superuser that owns everything.
const SUPERUSER: &str = "postgres";

/// Thirty times what an idle machine needs.
const START_LIMIT: Duration = Duration::from_secs(30);

/// An immediate shutdown takes milliseconds; one that hangs is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(10);

const LOG_LINES: usize = 40;

/// Where PostgreSQL's defaults are made for servers that live longer than a test.
const FOR_TESTS: [&str; 13] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "wal_level=logical",
    // One of each per connector; a capture of goldens runs two dozen.
    "max_wal_senders=40",
    "max_replication_slots=40",
    "max_connections=200",
    // Disks are not what is tested.
    "fsync=off",
    "full_page_writes=off",
    // A logical message outside of a transaction is sent once the writer has come by; 200 ms by default.
    "wal_writer_delay=10ms",
    // In the data folder, so that nothing stays behind after a kill.
    "dynamic_shared_memory_type=mmap",
    "timezone=UTC",
    "log_timezone=UTC",
    "lc_messages=C",
];

/// A running PostgreSQL.
///
/// Dropping it ends the server and removes its data. If this process dies without dropping it, the server dies too, and
/// only the temporary folder stays. Starting blocks for about two seconds.
///
/// ```no_run
/// use test_support::{Postgres, TestResult};
///
/// # async fn example() -> TestResult {
/// let postgres = Postgres::start()?;
/// let auth = postgres.create_database("auth").await?;
///
/// auth.execute("CREATE TABLE users (id int PRIMARY KEY)").await?;
/// # Ok(())
/// # }
/// ```
pub struct Postgres {
    port: u16,
    password: String,
    version: String,
    data: PathBuf,
    log: PathBuf,
    command_line: Vec<OsString>,
    user: Option<User>,
    /// `None` while the server is down.
    process: Mutex<Option<WatchedProcess>>,
    _folder: TempDir,
}

impl Postgres {
    /// Returns why PostgreSQL cannot be started on this machine, if it cannot.
    pub fn obstacle() -> Option<RigError> {
        Programs::find().err().or_else(|| User::for_server().err())
    }

    /// Creates a server's data in a temporary folder, starts it on a free port and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// [`RigError::MissingTool`], or [`RigError::PostgresFailed`] with what the server printed.
    pub fn start() -> Result<Self, RigError> {
        let programs = Programs::find()?;
        let user = User::for_server()?;
        let folder = tempfile::Builder::new()
            .prefix("kafka-runtime-postgres-")
            .tempdir()
            .map_err(RigError::io("create a temporary folder"))?;
        let data = folder.path().join("data");
        let password = random_password();
        programs.create_data(folder.path(), &data, &password, user)?;

        let port = port::free(1)?[0];
        let mut command_line = vec![
            programs.postgres().into_os_string(),
            "-D".into(),
            data.clone().into_os_string(),
            "-p".into(),
            port.to_string().into(),
        ];
        for setting in FOR_TESTS {
            command_line.extend(["-c".into(), setting.into()]);
        }
        let postgres = Self {
            port,
            password,
            version: programs.version()?,
            data,
            log: folder.path().join("postgres.log"),
            command_line,
            user,
            process: Mutex::new(None),
            _folder: folder,
        };
        postgres.start_again()?;
        Ok(postgres)
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the name of the superuser.
    pub fn user(&self) -> &'static str {
        SUPERUSER
    }

    /// Returns the superuser's password, another one for each server: others on this machine reach the port too.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Returns the version as the server names it, such as `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the file with what the server logged.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Returns a database by name, without asking whether it exists.
    pub fn database(&self, name: impl Into<String>) -> Database {
        Database::new(self.port, SUPERUSER, &self.password, name.into())
    }

    /// Creates a database.
    ///
    /// # Errors
    ///
    /// [`RigError::Sql`] if it exists, or is no name that can be written without quotes.
    pub async fn create_database(&self, name: &str) -> Result<Database, RigError> {
        self.database(SUPERUSER)
            .execute(&format!("CREATE DATABASE {name}"))
            .await?;
        Ok(self.database(name))
    }

    /// Ends the server at once (SIGKILL), as a power cut would. Idempotent.
    pub fn kill(&self) {
        self.process().take();
    }

    /// Starts the server with the port and data that it had, and waits until it takes connections. Does nothing if it
    /// runs.
    ///
    /// # Errors
    ///
    /// [`RigError::PostgresFailed`] with the end of its log.
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
        // A server that was killed leaves its state behind, which may say that it is ready.
        let _ = fs::remove_file(self.data.join("postmaster.pid"));
        let mut started = WatchedProcess::spawn_as(&self.command_line, &log, self.user)?;
        let deadline = Instant::now() + START_LIMIT;
        while !self.is_ready() {
            let doing = match started.ended()? {
                Some(status) => format!("start ({status})"),
                None if Instant::now() >= deadline => format!("start within {START_LIMIT:?}"),
                None => {
                    thread::sleep(POLL);
                    continue;
                }
            };
            return Err(RigError::PostgresFailed {
                doing,
                output: tail(&self.log_text(), LOG_LINES),
            });
        }
        *process = Some(started);
        Ok(())
    }

    /// Reads what `pg_ctl --wait` reads: the eighth line of this file is the server's state.
    fn is_ready(&self) -> bool {
        fs::read_to_string(self.data.join("postmaster.pid")).is_ok_and(|text| {
            text.lines()
                .nth(7)
                .is_some_and(|state| state.trim() == "ready")
        })
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

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("port", &self.port)
            .field("version", &self.version)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl Drop for Postgres {
    /// Its processes are in groups of their own: the server must end them itself before its folder goes.
    fn drop(&mut self) {
        if let Some(mut process) = self.process().take() {
            let _ = process.signal(Signal::QUIT); // immediate shutdown
            let _ = process.wait(STOP_LIMIT);
        }
    }
}

/// The folder with the server's programs.
struct Programs(PathBuf);

impl Programs {
    fn find() -> Result<Self, RigError> {
        if let Some(own) = env::var_os("KAFKA_RUNTIME_POSTGRES").filter(|folder| !folder.is_empty())
        {
            let own = PathBuf::from(own);
            return if has_programs(&own) {
                Ok(Self(own))
            } else {
                Err(RigError::MissingTool(format!(
                    "no postgres and initdb in KAFKA_RUNTIME_POSTGRES={}",
                    own.display()
                )))
            };
        }
        let on_path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&on_path)
            .find(|folder| has_programs(folder))
            .or_else(|| newest(Path::new("/usr/lib/postgresql")))
            .map(Self)
            .ok_or_else(|| {
                RigError::MissingTool(
                    "no PostgreSQL server (postgres, initdb) on PATH or below /usr/lib/postgresql"
                        .into(),
                )
            })
    }

    fn postgres(&self) -> PathBuf {
        self.0.join("postgres")
    }

    /// Reads the `15.18` out of `postgres (PostgreSQL) 15.18 (Debian …)`.
    fn version(&self) -> Result<String, RigError> {
        let output = Command::new(self.postgres())
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(RigError::io("run postgres"))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        Ok(printed
            .split_whitespace()
            .nth(2)
            .unwrap_or("unknown")
            .to_owned())
    }

    fn create_data(
        &self,
        folder: &Path,
        data: &Path,
        password: &str,
        user: Option<User>,
    ) -> Result<(), RigError> {
        let password_file = folder.join("password");
        fs::write(&password_file, password).map_err(RigError::io("write a password file"))?;
        if let Some(user) = user {
            for path in [folder, &password_file] {
                chown(path, Some(user.uid), Some(user.gid))
                    .map_err(RigError::io(format!("give away {}", path.display())))?;
            }
        }
        let mut command = Command::new(self.0.join("initdb"));
        command
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .args(["--auth=scram-sha-256", "--username", SUPERUSER, "--pwfile"])
            .arg(&password_file)
            .arg("-D")
            .arg(data)
            .current_dir(folder)
            .stdin(Stdio::null());
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid);
        }
        let output = command.output().map_err(RigError::io("run initdb"))?;
        if output.status.success() {
            return Ok(());
        }
        let printed = [output.stdout, output.stderr].concat();
        Err(RigError::PostgresFailed {
            doing: "create its data (initdb)".into(),
            output: tail(&String::from_utf8_lossy(&printed), 20),
        })
    }
}

fn has_programs(folder: &Path) -> bool {
    ["postgres", "initdb"]
        .iter()
        .all(|name| folder.join(name).is_file())
}

/// Returns the folder of the highest version, as Debian lays them out.
fn newest(versions: &Path) -> Option<PathBuf> {
    fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| has_programs(folder))
        .max()
        .map(|(_, folder)| folder)
}

fn random_password() -> String {
    let random = [0, 1].map(|half| RandomState::new().hash_one(half));
    format!("{:016x}{:016x}", random[0], random[1])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{newest, random_password};

    #[test]
    fn the_newest_version_is_not_the_last_by_name() -> Result<(), std::io::Error> {
        let folder = tempfile::tempdir()?;
        for version in ["9", "15", "14", "notes"] {
            let programs = folder.path().join(version).join("bin");
            fs::create_dir_all(&programs)?;
            fs::write(programs.join("postgres"), "")?;
            fs::write(programs.join("initdb"), "")?;
        }

        let found = newest(folder.path());

        assert_eq!(found, Some(folder.path().join("15/bin")));
        Ok(())
    }

    #[test]
    fn a_version_without_its_programs_does_not_count() -> Result<(), std::io::Error> {
        let folder = tempfile::tempdir()?;
        fs::create_dir_all(folder.path().join("15/bin"))?;

        assert_eq!(newest(folder.path()), None);
        Ok(())
    }

    #[test]
    fn each_server_has_its_own_password() {
        assert_ne!(random_password(), random_password());
    }
}
