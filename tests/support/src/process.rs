//! A child process that cannot outlive the test.
//!
//! `sh` leaves a watchdog behind and then becomes the program (`exec`), so the child's id is
//! the program's own. The watchdog reads a pipe whose other end only this process has: when
//! this process is gone, whatever the reason, the read ends and the watchdog kills the
//! group. It is a member of that group, which keeps the id from being reused before that.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::RigError;

/// `$$` is the program's id, also in the subshell, and the group's. The program itself
/// holds no end of the pipe.
const WATCHED: &str = r#"exec 3<&0
(read -r _ <&3; kill -KILL -$$) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-"#;

const POLL: Duration = Duration::from_millis(10);

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
        let doing = || RigError::io("start a process");
        let mut child = Command::new("sh")
            .args(["-c", WATCHED, "sh"])
            .args(command_line)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(doing())?)
            .stderr(log.try_clone().map_err(doing())?)
            .spawn()
            .map_err(doing())?;
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

    use super::{Signal, WatchedProcess};
    use crate::RigError;

    const LONG: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Result<(WatchedProcess, tempfile::NamedTempFile), RigError> {
        let log = tempfile::NamedTempFile::new().map_err(RigError::io("create a log"))?;
        let line = ["sh", "-c", script].map(OsString::from);
        Ok((WatchedProcess::spawn(&line, log.as_file())?, log))
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
