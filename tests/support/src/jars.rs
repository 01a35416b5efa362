//! Brings the jars of one Kafka version from Maven Central, once per machine.
//!
//! They live outside of any checkout, in `$KAFKA_RUNTIME_CACHE`, else
//! `$XDG_CACHE_HOME/kafka-runtime`, else `~/.cache/kafka-runtime`. A version is downloaded
//! into a temporary folder beside its place and renamed, so a folder that exists is
//! complete; a lock file lets the second of two test processes wait for the first.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::RigError;
use crate::error::tail;

/// The Kafka that tests run on unless they ask for another.
pub const DEFAULT_VERSION: &str = "3.9.1";

/// Returns the folder with the jars of `version`; fetches them if needed.
pub(crate) fn fetch(version: &str) -> Result<PathBuf, RigError> {
    let folder = folder(version)?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let cache = parent(&folder)?;
    fs::create_dir_all(cache).map_err(RigError::io(format!("create {}", cache.display())))?;
    let _lock = lock(&folder.with_file_name(format!("kafka-{version}.lock")))?;
    if folder.is_dir() {
        return Ok(folder); // another process fetched them while this one waited
    }
    download(version, &folder)?;
    Ok(folder)
}

/// Returns why [`fetch`] cannot work here, without fetching anything.
pub(crate) fn obstacle(version: &str) -> Option<RigError> {
    match folder(version) {
        Ok(folder) if folder.is_dir() || has_maven() => None,
        Ok(_) => Some(RigError::MissingTool("no Maven (mvn) on PATH".into())),
        Err(error) => Some(error),
    }
}

fn has_maven() -> bool {
    Command::new("mvn")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn folder(version: &str) -> Result<PathBuf, RigError> {
    if !is_version(version) {
        return Err(RigError::InvalidVersion(version.into()));
    }
    let cache = cache_folder(|name| env::var_os(name)).ok_or(RigError::NoCacheFolder)?;
    Ok(cache.join(format!("kafka-{version}")))
}

fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(own) = set("KAFKA_RUNTIME_CACHE") {
        return Some(PathBuf::from(own));
    }
    let caches = match set("XDG_CACHE_HOME") {
        Some(xdg) => PathBuf::from(xdg),
        None => Path::new(&set("HOME")?).join(".cache"),
    };
    Some(caches.join("kafka-runtime"))
}

/// The version becomes part of a path and of an XML file, hence this narrow.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

/// Holds until the file is dropped. The system releases it when the process dies.
fn lock(path: &Path) -> Result<File, RigError> {
    let doing = format!("lock {}", path.display());
    let file = File::create(path).map_err(RigError::io(doing.as_str()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress("another process fetches Apache Kafka; waiting for it …");
            file.lock().map_err(RigError::io(doing))?;
        }
        Err(TryLockError::Error(error)) => return Err(RigError::io(doing)(error)),
    }
    Ok(file)
}

fn download(version: &str, folder: &Path) -> Result<(), RigError> {
    if !has_maven() {
        return Err(RigError::MissingTool("no Maven (mvn) on PATH".into()));
    }
    progress(&format!(
        "fetching Apache Kafka {version} with Maven (about 50 MB, once) …"
    ));
    let temporary = tempfile::Builder::new()
        .prefix("fetching-")
        .tempdir_in(parent(folder)?)
        .map_err(RigError::io("create a folder for the download"))?;
    let pom_path = temporary.path().join("pom.xml");
    fs::write(&pom_path, pom(version)).map_err(RigError::io("write pom.xml"))?;
    let jars = temporary.path().join("jars");

    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom_path)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(RigError::io("run mvn"))?;
    if !output.status.success() {
        let printed = [output.stdout, output.stderr].concat();
        return Err(RigError::Fetch {
            version: version.into(),
            output: tail(&String::from_utf8_lossy(&printed), 20),
        });
    }
    fs::rename(&jars, folder).map_err(RigError::io(format!("rename {}", jars.display())))
}

#[expect(clippy::print_stderr, reason = "a first run would seem to hang")]
fn progress(line: &str) {
    eprintln!("{line}");
}

fn parent(folder: &Path) -> Result<&Path, RigError> {
    folder.parent().ok_or(RigError::NoCacheFolder)
}

/// `kafka-tools` brings Kafka's command line tools, for whoever debugs a test by hand.
fn pom(version: &str) -> String {
    let dependencies: String = [
        ("org.apache.kafka", "kafka_2.13", version),
        ("org.apache.kafka", "kafka-tools", version),
        ("org.slf4j", "slf4j-reload4j", "1.7.36"),
    ]
    .map(|(group, artifact, version)| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    })
    .concat();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>kafka-runtime</groupId><artifactId>kafka-jars</artifactId><version>1</version>\
         <dependencies>{dependencies}</dependencies></project>\n"
    )
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::{cache_folder, is_version, pom};

    fn cache_with(variables: &[(&str, &str)]) -> Option<PathBuf> {
        cache_folder(|name| {
            let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(value))
        })
    }

    #[test]
    fn the_own_variable_names_the_cache_itself() {
        let cache = cache_with(&[("KAFKA_RUNTIME_CACHE", "/a"), ("XDG_CACHE_HOME", "/b")]);

        assert_eq!(cache, Some(PathBuf::from("/a")));
    }

    #[test]
    fn the_cache_falls_back_to_the_home_folder() {
        let cache = cache_with(&[("XDG_CACHE_HOME", ""), ("HOME", "/home/me")]);

        assert_eq!(cache, Some(PathBuf::from("/home/me/.cache/kafka-runtime")));
    }

    #[test]
    fn there_may_be_no_place_for_a_cache() {
        assert_eq!(cache_with(&[]), None);
    }

    #[test]
    fn a_version_cannot_leave_the_cache_folder() {
        assert!(is_version("3.9.1"));
        assert!(is_version("4.2.0-rc1"));
        assert!(!is_version("../3.9.1"));
        assert!(!is_version(""));
    }

    #[test]
    fn the_pom_asks_for_the_version() {
        assert_eq!(pom("4.1.1").matches("<version>4.1.1</version>").count(), 2);
    }
}
