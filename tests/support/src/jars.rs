//! Brings what runs on Java from Maven Central, once per machine: Kafka, Kafka Connect, Debezium.
//!
//! They live outside of any checkout, in `$KAFKA_RUNTIME_CACHE`, else
//! `$XDG_CACHE_HOME/kafka-runtime`, else `~/.cache/kafka-runtime`. A bundle is downloaded
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

/// The Debezium whose events the project is made for.
pub const DEBEZIUM_VERSION: &str = "3.2.1.Final";

/// What becomes one folder of the cache: artifacts of one version.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    /// What people call it: "Apache Kafka 3.9.1".
    title: String,
    /// The folder's name in the cache.
    folder: String,
    /// How much is downloaded where nothing of it is there.
    megabytes: u32,
    content: Content,
    artifacts: Vec<Artifact>,
}

/// A Maven coordinate.
#[derive(Clone, Debug)]
struct Artifact {
    group: &'static str,
    name: &'static str,
    version: String,
}

/// What of the artifacts the folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Their jars and those that they need at run time.
    Jars,
    /// What is in their archives, of type `tar.gz` and classifier `plugin`.
    Plugins,
}

impl Bundle {
    /// A broker, and Kafka's command line tools for whoever debugs a test by hand.
    pub(crate) fn kafka(version: &str) -> Result<Self, RigError> {
        Ok(Self {
            title: format!("Apache Kafka {version}"),
            folder: format!("kafka-{}", checked(version)?),
            megabytes: 50,
            content: Content::Jars,
            artifacts: vec![
                Artifact::new("org.apache.kafka", "kafka_2.13", version),
                Artifact::new("org.apache.kafka", "kafka-tools", version),
                Artifact::logger(),
            ],
        })
    }

    /// A worker of Kafka Connect with its JSON converter and its own transforms.
    pub(crate) fn connect(version: &str) -> Result<Self, RigError> {
        Ok(Self {
            title: format!("Kafka Connect {version}"),
            folder: format!("connect-{}", checked(version)?),
            megabytes: 60,
            content: Content::Jars,
            artifacts: vec![
                Artifact::new("org.apache.kafka", "connect-runtime", version),
                Artifact::new("org.apache.kafka", "connect-json", version),
                Artifact::new("org.apache.kafka", "connect-transforms", version),
                Artifact::logger(),
            ],
        })
    }

    /// Debezium's connector for PostgreSQL, a folder for `plugin.path`.
    pub(crate) fn debezium_postgres(version: &str) -> Result<Self, RigError> {
        Ok(Self {
            title: format!("Debezium {version} for PostgreSQL"),
            folder: format!("debezium-postgres-{}", checked(version)?),
            megabytes: 6,
            content: Content::Plugins,
            artifacts: vec![Artifact::new(
                "io.debezium",
                "debezium-connector-postgres",
                version,
            )],
        })
    }

    /// Returns the folder with its files; fetches them if needed.
    pub(crate) fn fetch(&self) -> Result<PathBuf, RigError> {
        let folder = self.path()?;
        if folder.is_dir() {
            return Ok(folder);
        }
        let cache = parent(&folder)?;
        fs::create_dir_all(cache).map_err(RigError::io(format!("create {}", cache.display())))?;
        let _lock = self.lock(&cache.join(format!("{}.lock", self.folder)))?;
        if folder.is_dir() {
            return Ok(folder); // another process fetched them while this one waited
        }
        self.download(&folder)?;
        Ok(folder)
    }

    /// Returns why [`fetch`](Self::fetch) cannot work here, without fetching anything.
    pub(crate) fn obstacle(&self) -> Option<RigError> {
        match self.path() {
            Ok(folder) if folder.is_dir() || has_maven() => None,
            Ok(_) => Some(RigError::MissingTool("no Maven (mvn) on PATH".into())),
            Err(error) => Some(error),
        }
    }

    fn path(&self) -> Result<PathBuf, RigError> {
        let cache = cache_folder(|name| env::var_os(name)).ok_or(RigError::NoCacheFolder)?;
        Ok(cache.join(&self.folder))
    }

    /// Holds until the file is dropped. The system releases it when the process dies.
    fn lock(&self, path: &Path) -> Result<File, RigError> {
        let doing = format!("lock {}", path.display());
        let file = File::create(path).map_err(RigError::io(doing.as_str()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress(&format!(
                    "another process fetches {}; waiting for it …",
                    self.title
                ));
                file.lock().map_err(RigError::io(doing))?;
            }
            Err(TryLockError::Error(error)) => return Err(RigError::io(doing)(error)),
        }
        Ok(file)
    }

    fn download(&self, folder: &Path) -> Result<(), RigError> {
        if !has_maven() {
            return Err(RigError::MissingTool("no Maven (mvn) on PATH".into()));
        }
        progress(&format!(
            "fetching {} with Maven (about {} MB, once) …",
            self.title, self.megabytes
        ));
        let temporary = tempfile::Builder::new()
            .prefix("fetching-")
            .tempdir_in(parent(folder)?)
            .map_err(RigError::io("create a folder for the download"))?;
        let pom_path = temporary.path().join("pom.xml");
        fs::write(&pom_path, self.pom()).map_err(RigError::io("write pom.xml"))?;
        let files = temporary.path().join("files");

        let output = Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(&pom_path)
            .args(self.content.goal())
            .arg(format!("-DoutputDirectory={}", files.display()))
            .stdin(Stdio::null())
            .output()
            .map_err(RigError::io("run mvn"))?;
        if !output.status.success() {
            let printed = [output.stdout, output.stderr].concat();
            return Err(RigError::Fetch {
                what: self.title.clone(),
                output: tail(&String::from_utf8_lossy(&printed), 20),
            });
        }
        fs::rename(&files, folder).map_err(RigError::io(format!("rename {}", files.display())))
    }

    fn pom(&self) -> String {
        let packaging = match self.content {
            Content::Jars => "",
            Content::Plugins => "<type>tar.gz</type><classifier>plugin</classifier>",
        };
        let dependencies: Vec<String> = self
            .artifacts
            .iter()
            .map(
                |Artifact {
                     group,
                     name,
                     version,
                 }| {
                    format!(
                        "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
                     <version>{version}</version>{packaging}</dependency>"
                    )
                },
            )
            .collect();
        format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
             <groupId>kafka-runtime</groupId><artifactId>{}</artifactId><version>1</version>\
             <dependencies>{}</dependencies></project>\n",
            self.folder,
            dependencies.concat()
        )
    }
}

impl Artifact {
    fn new(group: &'static str, name: &'static str, version: &str) -> Self {
        Self {
            group,
            name,
            version: version.into(),
        }
    }

    /// Where Kafka's logging facade ends.
    fn logger() -> Self {
        Self::new("org.slf4j", "slf4j-reload4j", "1.7.36")
    }
}

impl Content {
    fn goal(self) -> [&'static str; 2] {
        match self {
            Self::Jars => ["dependency:copy-dependencies", "-DincludeScope=runtime"],
            Self::Plugins => ["dependency:unpack-dependencies", "-DexcludeTransitive=true"],
        }
    }
}

/// Returns the version if it can be part of a path and of an XML file.
fn checked(version: &str) -> Result<&str, RigError> {
    if is_version(version) {
        return Ok(version);
    }
    Err(RigError::InvalidVersion(version.into()))
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

#[expect(clippy::print_stderr, reason = "a first run would seem to hang")]
fn progress(line: &str) {
    eprintln!("{line}");
}

fn parent(folder: &Path) -> Result<&Path, RigError> {
    folder.parent().ok_or(RigError::NoCacheFolder)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::{Bundle, cache_folder, is_version};
    use crate::RigError;

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
    fn a_bundle_is_refused_before_it_is_a_path() {
        let bundle = Bundle::kafka("../3.9.1");

        assert!(matches!(bundle, Err(RigError::InvalidVersion(_))));
    }

    #[test]
    fn the_pom_asks_for_the_version() -> Result<(), RigError> {
        let pom = Bundle::kafka("4.1.1")?.pom();

        assert_eq!(pom.matches("<version>4.1.1</version>").count(), 2);
        Ok(())
    }

    #[test]
    fn the_pom_of_a_plugin_asks_for_its_archive() -> Result<(), RigError> {
        let pom = Bundle::debezium_postgres("3.2.1.Final")?.pom();

        assert!(pom.contains("<type>tar.gz</type><classifier>plugin</classifier>"));
        Ok(())
    }
}
