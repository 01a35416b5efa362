//! The files of the goldens: one per configuration, a line per record.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use test_support::StoredRecord;

use super::configuration::Configuration;

/// The first line of a file.
#[derive(Debug, Serialize)]
pub(crate) struct Head<'a> {
    configuration: &'a str,
    /// What was sent to Connect, without the address of the database.
    connector: &'a BTreeMap<String, String>,
    versions: &'a BTreeMap<&'static str, String>,
}

/// A record as it was on the wire, and the case that caused it.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    case: String,
    topic: String,
    partition: i32,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
    /// For the order only.
    #[serde(skip)]
    place: (usize, i64),
}

impl Line {
    /// `case` has its place among the cases before its name.
    pub(crate) fn new(
        case: (usize, &str),
        topic: &str,
        record: StoredRecord,
    ) -> anyhow::Result<Self> {
        let text = |bytes: Option<Vec<u8>>| {
            bytes
                .map(String::from_utf8)
                .transpose()
                .with_context(|| format!("a record of {topic} is not UTF-8"))
        };
        Ok(Self {
            case: case.1.to_owned(),
            topic: topic.to_owned(),
            partition: record.partition,
            key: text(record.key)?,
            value: text(record.value)?,
            headers: record
                .headers
                .into_iter()
                .map(|(name, value)| Ok((name, text(value)?)))
                .collect::<anyhow::Result<_>>()?,
            place: (case.0, record.offset),
        })
    }
}

/// Writes a file, the records by case, topic, partition and offset. Returns its size in bytes.
pub(crate) fn write(
    folder: &Path,
    configuration: &Configuration,
    versions: &BTreeMap<&'static str, String>,
    mut lines: Vec<Line>,
) -> anyhow::Result<usize> {
    lines.sort_by(|a, b| {
        let key = |line: &Line| {
            (
                line.place.0,
                line.topic.clone(),
                line.partition,
                line.place.1,
            )
        };
        key(a).cmp(&key(b))
    });
    let head = Head {
        configuration: configuration.name(),
        connector: configuration.connector().settings(),
        versions,
    };
    let mut text = serde_json::to_string(&head)? + "\n";
    for line in lines {
        text.push_str(&serde_json::to_string(&line)?);
        text.push('\n');
    }
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.ndjson", configuration.name()));
    fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(text.len())
}
