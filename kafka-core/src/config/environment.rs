//! Reads the settings from environment variables, and tells the misspelt from the foreign.
//!
//! Many variables begin with `KAFKA_` and are not ours: Kafka's own scripts, broker images and Kubernetes services
//! set them. So a name that is not in the table is refused only if it looks like an attempt at one of ours.

use std::collections::BTreeSet;
use std::ffi::OsString;

use strsim::damerau_levenshtein;

use super::Config;
use super::error::{ConfigError, ConfigProblem};
use super::property::{self, Owner};
use super::secret::is_secret;
use super::setting::{IGNORE, PROPERTY, SETTINGS, Setting};

/// Names after `KAFKA_` that belong to others, or begin so.
const FOREIGN: &[&str] = &[
    // Kafka's scripts and images of Kafka, its UI and its exporters.
    "HOME",
    "VERSION",
    "DEBUG",
    "JMX_",
    "CLUSTERS_",
    "BROKER_",
    "CFG_",
    "LISTENER",
    "ADVERTISED_",
    "CONTROLLER_",
    "REST_",
    "UI_",
    "COMPRESSION_TYPE",
    "GROUP_INITIAL_",
    "GROUP_MIN_",
    "GROUP_MAX_",
    "GROUP_COORDINATOR_",
    "GROUP_CONSUMER_",
    "GROUP_SHARE_",
    "SASL_ENABLED_",
    "SSL_CLIENT_AUTH",
    "SSL_PRINCIPAL_",
    // This project's own tools.
    "RIG",
    "RUNTIME_",
];

/// Parts of names that belong to others: options of a JVM, and settings between brokers.
const FOREIGN_PARTS: &[&str] = &["_OPTS", "INTER_BROKER"];

/// First words after `KAFKA_` that are ours: whatever else begins so is taken for a misspelt setting.
const OURS: &[&str] = &[
    "BOOTSTRAP",
    "SSL",
    "SASL",
    "GROUP",
    "PROPERTY",
    "PROPERTIES",
    "SECURITY",
    "TLS",
];

/// The variables of this process that may be settings; one that is not UTF-8 is a problem.
pub(super) fn of_process() -> (Vec<(String, String)>, Vec<ConfigProblem>) {
    split_utf8(std::env::vars_os())
}

fn split_utf8(
    vars: impl Iterator<Item = (OsString, OsString)>,
) -> (Vec<(String, String)>, Vec<ConfigProblem>) {
    let mut read = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in vars {
        let Ok(variable) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => read.push((variable, value)),
            Err(_) if is_read(&variable) => problems.push(ConfigProblem::NotUtf8 { variable }),
            Err(_) => {}
        }
    }
    (read, problems)
}

fn is_read(variable: &str) -> bool {
    variable.starts_with(PROPERTY) || find(variable).is_some()
}

fn find(variable: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.variable == variable)
}

/// Reads the settings from variables, sorted by name so that errors come in one order.
pub(super) fn read(
    vars: impl IntoIterator<Item = (String, String)>,
    mut problems: Vec<ConfigProblem>,
) -> Result<Config, ConfigError> {
    let mut vars: Vec<_> = vars
        .into_iter()
        .filter(|(name, _)| name.starts_with("KAFKA_"))
        .collect();
    vars.sort();
    let ignored: BTreeSet<String> = vars
        .iter()
        .filter(|(name, _)| name == IGNORE)
        .flat_map(|(_, list)| list.split(',').map(|name| name.trim().to_owned()))
        .collect();

    let mut config = Config::new();
    for (variable, text) in vars {
        // An empty value is what a template leaves of a variable that was not given.
        if text.trim().is_empty() || ignored.contains(&variable) {
            continue;
        }
        if let Some(setting) = find(&variable) {
            match read_one(config.clone(), setting, &text) {
                Ok(with_it) => config = with_it,
                Err(problem) => problems.push(problem),
            }
        } else if let Some(name) = variable.strip_prefix(PROPERTY) {
            let property = property_name(name);
            let text = if is_secret(&property) {
                &text
            } else {
                text.trim()
            };
            config = config.property(property, text);
        } else {
            problems.extend(doubt(&variable));
        }
    }
    ConfigError::from_problems(problems).map(|()| config)
}

fn read_one(config: Config, setting: &Setting, text: &str) -> Result<Config, ConfigProblem> {
    let text = if setting.is_secret { text } else { text.trim() };
    (setting.read)(config, text).map_err(|expected| ConfigProblem::BadValue {
        variable: setting.variable.to_owned(),
        expected: expected.into_owned(),
        found: (!setting.is_secret && !text.contains("-----")).then(|| cut(text)),
    })
}

fn cut(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the librdkafka property that a variable names after `KAFKA_PROPERTY_`.
fn property_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    // The only name that librdkafka spells with `_`.
    if name == "log_level" {
        return name;
    }
    name.replace('_', ".")
}

/// Says what is wrong with a name that is not in the table, unless it is somebody else's.
fn doubt(variable: &str) -> Option<ConfigProblem> {
    let name = variable.strip_prefix("KAFKA_")?;
    if is_foreign(name) {
        return None;
    }
    if let Some(instead) = misspelt_property(name) {
        return Some(ConfigProblem::MisspeltProperty {
            variable: variable.to_owned(),
            instead,
        });
    }
    let first = name.split('_').next().unwrap_or_default();
    let is_ours = OURS.contains(&first);
    let nearest = nearest(variable, first);
    let is_near = nearest.is_some_and(|near| {
        let slips = if near.len() > 14 { 2 } else { 1 };
        damerau_levenshtein(variable, near) <= slips || is_suffixed(variable, near)
    });
    (is_ours || is_near).then(|| ConfigProblem::UnknownVariable {
        variable: variable.to_owned(),
        suggestion: nearest.map(str::to_owned),
    })
}

/// `KAFKA_SESSION_TIMEOUT_MS` for `KAFKA_SESSION_TIMEOUT`; but anything may begin with `KAFKA_ENV_`.
fn is_suffixed(variable: &str, known: &str) -> bool {
    let rest = variable.strip_prefix(known);
    known != "KAFKA_ENV" && rest.is_some_and(|rest| rest.starts_with('_'))
}

fn is_foreign(name: &str) -> bool {
    FOREIGN.iter().any(|start| name.starts_with(start))
        || FOREIGN_PARTS.iter().any(|part| name.contains(part))
        || is_kubernetes_service(name)
}

/// True for what Kubernetes sets for a service whose name begins with `kafka`: `KAFKA_UI_SERVICE_HOST`, `KAFKA_PORT`,
/// `KAFKA_PORT_9092_TCP_ADDR`.
fn is_kubernetes_service(name: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    let has_port_number = parts.windows(2).any(|pair| {
        pair[0] == "PORT" && !pair[1].is_empty() && pair[1].bytes().all(|b| b.is_ascii_digit())
    });
    let is_service = parts
        .windows(2)
        .any(|pair| pair[0] == "SERVICE" && ["HOST", "PORT"].contains(&pair[1]));
    has_port_number || is_service || parts.last() == Some(&"PORT")
}

/// The name is that of a librdkafka property, but without `PROPERTY_`.
fn misspelt_property(name: &str) -> Option<String> {
    let property = property_name(name);
    if !property.contains('.') {
        return None;
    }
    match property::owner(&property) {
        Some(Owner::Setting(method)) => SETTINGS
            .iter()
            .find(|setting| setting.method == method)
            .map(|setting| format!("set {}", setting.variable)),
        Some(Owner::Code(reason) | Owner::Nobody(reason)) => Some(reason.to_owned()),
        None => property::is_client_only(&property)
            .then(|| format!("set {PROPERTY}{name} to give librdkafka the property {property}")),
    }
}

/// Returns the most similar variable, of the same family if there is one.
fn nearest(variable: &str, first: &str) -> Option<&'static str> {
    let family = match first {
        "SECURITY" | "TLS" => return Some("KAFKA_SSL"),
        "PROPERTIES" | "PROPERTY" => return Some("KAFKA_PROPERTY_.."),
        first => format!("KAFKA_{first}_"),
    };
    let names = || SETTINGS.iter().map(|setting| setting.variable);
    let suffixed = names().find(|known| is_suffixed(variable, known) && *known != "KAFKA_SSL");
    let in_family = || {
        names()
            .filter(|known| known.starts_with(&family))
            .min_by_key(|known| damerau_levenshtein(variable, known))
    };
    suffixed
        .or_else(in_family)
        .or_else(|| names().min_by_key(|known| damerau_levenshtein(variable, known)))
}

#[cfg(test)]
mod tests;
