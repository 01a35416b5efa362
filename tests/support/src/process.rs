//! A child process that cannot outlive the test.
//!
//! `sh` leaves a watchdog behind and then becomes the program (`exec`), so the child's id is
//! the program's own. The watchdog reads a pipe whose other end only this process has: when
//! this process is gone, whatever the reason, the read ends and the watchdog kills the
//! group. It is a member of that group, which keeps the id from being reused before that.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};

use crate::RigError;

/// `$$` is the program's id, also in the subshell, and the group's. The program itself
/// holds no end of the pipe.
const WATCHED: &str = r#"exec 3<&0
(read -r _ <&3; kill -KILL -$$) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-"#;

const POLL: Duration = Duration::from_millis(10);

/// A user of the system, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// Returns whom a server that refuses to run as root runs as; `None` if this process is not root.
    ///
    /// # Errors
    ///
    /// [`RigError::MissingTool`] if there is neither a user `postgres` nor `nobody`.
    pub(crate) fn for_server() -> Result<Option<Self>, RigError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").map_err(RigError::io("read /etc/passwd"))?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::named(name, &users))
            .map(Some)
            .ok_or_else(|| RigError::MissingTool("no user postgres or nobody".into()))
    }

    /// Reads a line of `/etc/passwd`: name, password, uid, gid and more, with colons between them.
    fn named(name: &str, users: &str) -> Option<Self> {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2);
        Some(Self {
            uid: numbers.next()?.parse().ok()?,
            gid: numbers.next()?.parse().ok()?,
        })
    }
}

/// A running program in a process group of its own.
#[derive(Debug)]
pub struct WatchedProcess {
    child: Child,
    /// Closing it is what the watchdog waits for.
    lifeline: Option<ChildStdin>,
}

impl WatchedProcess {
    /// Starts `command_line`, its output appended to `log`.
    ///
    /// # Errors
    ///
    /// [`RigError::Io`] if there is no `sh`. A program that cannot be run ends with 126 or 127.
    pub fn spawn(command_line: &[OsString], log: &File) -> Result<Self, RigError> {
        Self::spawn_as(command_line, log, None)
    }

    /// Does the same as another user, which only root may.
    pub(crate) fn spawn_as(
        command_line: &[OsString],
        log: &File,
        user: Option<User>,
    ) -> Result<Self, RigError> {
        let doing = || RigError::io("start a process");
        let mut command = Command::new("sh");
        command
            .args(["-c", WATCHED, "sh"])
            .args(command_line)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(doing())?)
            .stderr(log.try_clone().map_err(doing())?);
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid).current_dir("/");
        }
        let mut child = command.spawn().map_err(doing())?;
        let lifeline = child.stdin.take();
        Ok(Self { child, lifeline })
    }

    /// Returns the program's process id, for as long as this is kept.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns how the program ended, if it did.
    ///
    /// # Errors
    ///
    /// [`RigError::Io`] if the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, RigError> {
        self.child
            .try_wait()
            .map_err(RigError::io("look at a process"))
    }

    /// Sends a signal to the program alone: the watchdog stays awake.
    ///
    /// # Errors
    ///
    /// [`RigError::Io`] if the program has been reaped.
    pub fn signal(&self, signal: Signal) -> Result<(), RigError> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| RigError::io("signal a process")(error.into()))
    }

    /// Waits until the program has ended by itself; false if it has not by then.
    ///
    /// # Errors
    ///
    /// [`RigError::Io`] if the system does not tell.
    pub fn wait(&mut self, limit: Duration) -> Result<bool, RigError> {
        let deadline = Instant::now() + limit;
        while self.ended()?.is_none() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            thread::sleep(POLL);
        }
        Ok(true)
    }
}

impl Drop for WatchedProcess {
    /// Kills the group and reaps the program.
    fn drop(&mut self) {
        // Neither can fail in a way that leaves something to do: the group is there as long
        // as the watchdog is, and the watchdog kills it when the lifeline closes.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        drop(self.lifeline.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    use super::{Signal, User, WatchedProcess};
    use crate::RigError;

    const LONG: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Result<(WatchedProcess, tempfile::NamedTempFile), RigError> {
        let log = tempfile::NamedTempFile::new().map_err(RigError::io("create a log"))?;
        let line = ["sh", "-c", script].map(OsString::from);
        Ok((WatchedProcess::spawn(&line, log.as_file())?, log))
    }

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "postgres2:x:1:2::/:/bin/sh\npostgres:x:101:104:,,,:/:/bin/bash\n";

        let user = User::named("postgres", users);

        assert_eq!(user, Some(User { uid: 101, gid: 104 }));
        assert_eq!(User::named("nobody", users), None);
    }

    #[test]
    fn output_goes_to_the_log() -> Result<(), RigError> {
        let (mut process, log) = shell("echo out; echo err >&2; exit 3")?;

        assert!(process.wait(LONG)?);
        assert_eq!(process.ended()?.and_then(|status| status.code()), Some(3));
        let text = std::fs::read_to_string(log.path()).map_err(RigError::io("read the log"))?;
        assert_eq!(text, "out\nerr\n");
        Ok(())
    }

    #[test]
    fn a_signal_reaches_the_program_itself() -> Result<(), RigError> {
        let (mut process, _log) = shell("exec sleep 100")?;

        process.signal(Signal::TERM)?;

        assert!(process.wait(LONG)?);
        assert_eq!(process.ended()?.and_then(|s| s.signal()), Some(15));
        Ok(())
    }

    #[test]
    fn the_program_is_killed_when_the_lifeline_closes() -> Result<(), RigError> {
        let (mut process, _log) = shell("exec sleep 100")?;

        process.lifeline = None;

        assert!(process.wait(LONG)?);
        assert_eq!(process.ended()?.and_then(|s| s.signal()), Some(9));
        Ok(())
    }
}
