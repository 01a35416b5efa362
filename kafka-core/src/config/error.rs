//! What is wrong with a configuration, all of it at once.

use super::setting;

/// Why a configuration was refused: every problem that was found, not only the first.
///
/// The text names settings and what to do. It never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.problems))]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

impl ConfigError {
    /// `Ok` if there are no problems.
    pub(super) fn from_problems(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        Err(Self { problems })
    }

    /// Returns the problems, in the order of the settings.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl From<ConfigProblem> for ConfigError {
    fn from(problem: ConfigProblem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// An environment variable looks like one of ours and is none.
    #[error("{variable} is no setting{}; if another program reads it, list it in {}", meant(.suggestion.as_deref()), setting::IGNORE)]
    UnknownVariable {
        /// Its name.
        variable: String,
        /// The variable that was probably meant.
        suggestion: Option<String>,
    },
    /// An environment variable spells a librdkafka property that is not set this way.
    #[error("{variable} is not read: {instead}")]
    MisspeltProperty {
        /// Its name.
        variable: String,
        /// What to set.
        instead: String,
    },
    /// An environment variable is not UTF-8.
    #[error("the value of {variable} is not UTF-8")]
    NotUtf8 {
        /// Its name.
        variable: String,
    },
    /// A value has not the form of its setting.
    #[error("{variable}{}: expected {expected}", shown(.found.as_deref()))]
    BadValue {
        /// The environment variable.
        variable: String,
        /// The form that is allowed.
        expected: String,
        /// The value, cut; `None` if the setting holds a secret.
        found: Option<String>,
    },
    /// A value is outside the range of its setting.
    #[error("{} must be {allowed}", setting::named(.setting))]
    OutsideRange {
        /// The setting.
        setting: &'static str,
        /// The range.
        allowed: &'static str,
    },
    /// Nothing says where the brokers are.
    #[error(
        "no brokers: set KAFKA_BOOTSTRAP_SERVERS=host:port,... (or `bootstrap_servers`), \
         or KAFKA_ENV=development|production (or `environment`)"
    )]
    NoBootstrapServers,
    /// A bootstrap address is not `host:port`.
    #[error("bootstrap server {address:?}: {fix}")]
    BadAddress {
        /// The address, without what may be a password.
        address: String,
        /// What to do.
        fix: &'static str,
    },
    /// Nothing says whether the connection is encrypted, and it leaves this machine.
    #[error(
        "{address:?} is not on this machine, and nothing says whether the connection is encrypted: \
         set KAFKA_SSL=true, or KAFKA_SSL=false for plain text (`ssl(true)`, `ssl(false)`)"
    )]
    SecurityNotChosen {
        /// The first server that is not loopback.
        address: String,
    },
    /// A TLS setting without TLS.
    #[error("{what} is set, but TLS is not on: set KAFKA_SSL=true (`ssl(true)`), or remove it")]
    SslIsOff {
        /// The setting or property.
        what: String,
    },
    /// A SASL setting without a mechanism.
    #[error(
        "{what} is set, but no SASL mechanism: set KAFKA_SASL_MECHANISM (`sasl_mechanism`), or remove it"
    )]
    SaslIsOff {
        /// The setting or property.
        what: String,
    },
    /// A setting needs another one.
    #[error("{what} needs {missing}")]
    Missing {
        /// The setting that is there.
        what: String,
        /// The settings that are not.
        missing: String,
    },
    /// Two settings contradict each other.
    #[error("{what} contradicts {with}: {reason}")]
    Contradiction {
        /// The one.
        what: String,
        /// The other.
        with: String,
        /// Why they cannot both be, and what to do.
        reason: &'static str,
    },
    /// A setting needs a feature that the crate was built without.
    #[error(
        "{what} needs the feature `{feature}`: kafka-runtime = {{ features = [\"{feature}\"], .. }} in Cargo.toml"
    )]
    FeatureIsOff {
        /// The setting.
        what: String,
        /// The feature to add.
        feature: &'static str,
    },
    /// A librdkafka property that is not to be set by hand.
    #[error("the property {property} is not to be set by hand: {reason}")]
    RefusedProperty {
        /// Its name.
        property: String,
        /// The setting that replaces it, or why it must not be changed.
        reason: String,
    },
    /// A value holds a NUL character.
    #[error("{what} holds a NUL character")]
    Nul {
        /// The setting or property.
        what: String,
    },
    /// A handler has no consumer group.
    #[error(
        "no consumer group: set KAFKA_GROUP_ID (`group_id`), or give every handler its `group`"
    )]
    NoGroupId,
}

fn listed(problems: &[ConfigProblem]) -> String {
    match problems {
        [problem] => format!("configuration: {problem}"),
        problems => {
            use std::fmt::Write as _;
            let mut text = format!("configuration: {} problems", problems.len());
            for problem in problems {
                // Writing to a String cannot fail.
                let _ = write!(text, "\n  - {problem}");
            }
            text
        }
    }
}

fn meant(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

fn shown(found: Option<&str>) -> String {
    found.map_or_else(String::new, |value| format!("={value:?}"))
}
