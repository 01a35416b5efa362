//! Finds the Java that runs the brokers.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::RigError;

/// Kafka 4 brokers need it; 3.9 runs on it.
const OLDEST: u32 = 17;

/// Keeps a start short: less compiling, no collector threads. Halves the time to format and
/// takes a quarter off the time to serve (measured on two cores).
const QUICK_START: [&str; 3] = [
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
];

/// What Kafka's own start script (`kafka-run-class.sh`) sets.
const THROUGHPUT: [&str; 3] = [
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
];

/// What a Java process is to be good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tuning {
    /// Being there soon, in little memory.
    QuickStart,
    /// Going on for minutes with all compilers at work.
    Throughput,
}

/// A Java that is known to be new enough.
#[derive(Clone, Debug)]
pub(crate) struct Java {
    program: OsString,
}

impl Java {
    /// Looks at `$JAVA_HOME` first, then along the `PATH`.
    ///
    /// # Errors
    ///
    /// [`RigError::MissingTool`] says what is missing.
    pub(crate) fn find() -> Result<Self, RigError> {
        let program = match env::var_os("JAVA_HOME") {
            Some(home) if !home.is_empty() => Path::new(&home).join("bin/java").into_os_string(),
            _ => OsString::from("java"),
        };
        let missing = || RigError::MissingTool(format!("no Java {OLDEST} on PATH"));
        let output = Command::new(&program)
            .arg("-version")
            .stdin(Stdio::null())
            .output()
            .map_err(|_| missing())?;
        let found = major_version(&String::from_utf8_lossy(&output.stderr)).ok_or_else(missing)?;
        if found < OLDEST {
            return Err(RigError::MissingTool(format!(
                "Java {found} is older than {OLDEST}"
            )));
        }
        Ok(Self { program })
    }

    /// Returns the command line of `main_class`, program first.
    pub(crate) fn command_line(
        &self,
        jars: &Path,
        log4j: &Path,
        tuning: Tuning,
        heap_megabytes: u32,
        main_class: &str,
    ) -> Vec<OsString> {
        let mut line = vec![self.program.clone()];
        let flags = match tuning {
            Tuning::QuickStart => QUICK_START,
            Tuning::Throughput => THROUGHPUT,
        };
        line.extend(flags.map(OsString::from));
        line.push(format!("-Xmx{heap_megabytes}m").into());
        line.push(prefixed("-Dlog4j.configuration=file:", log4j));
        line.push("-cp".into());
        // Java expands the star itself, and only as the last part of a path.
        line.push(jars.join("*").into_os_string());
        line.push(main_class.into());
        line
    }
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut joined = OsString::from(prefix);
    joined.push(path);
    joined
}

/// Reads the 17 out of `openjdk version "17.0.15" 2025-04-15`.
fn major_version(output: &str) -> Option<u32> {
    let (_, quoted) = output.split_once("version \"")?;
    let mut numbers = quoted.split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        // "1.8.0_402" is Java 8.
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn the_major_version_is_the_first_number() {
        assert_eq!(
            major_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK …"),
            Some(17)
        );
        assert_eq!(major_version("openjdk version \"26-ea\""), Some(26));
    }

    #[test]
    fn java_8_called_itself_1_8() {
        assert_eq!(major_version("java version \"1.8.0_402\""), Some(8));
    }

    #[test]
    fn other_output_is_no_version() {
        assert_eq!(major_version("command not found"), None);
    }
}
