//! Records that a real pipeline wrote, as `cargo harness cdc capture` noted them down.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kafka_runtime::Record;
use serde::Deserialize;

/// All records of one configuration of the connector.
pub(crate) struct Configuration {
    pub(crate) name: String,
    pub(crate) goldens: Vec<Golden>,
}

/// A record.
#[derive(Deserialize)]
pub(crate) struct Golden {
    /// The SQL that it comes from.
    pub(crate) case: String,
    pub(crate) topic: String,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

impl Configuration {
    pub(crate) fn read(name: &str) -> Self {
        Self::of_file(&folder().join(format!("{name}.ndjson")))
    }

    /// Every configuration there is.
    pub(crate) fn all() -> Vec<Self> {
        let mut files: Vec<PathBuf> = fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "ndjson")
            })
            .collect();
        files.sort();
        files.iter().map(|file| Self::of_file(file)).collect()
    }

    fn of_file(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        // The first line tells the connector's settings.
        let goldens = text
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).unwrap());
        Self {
            name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
            goldens: goldens.collect(),
        }
    }

    /// The records of a table, without its tombstones.
    pub(crate) fn of_table<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a Golden> {
        let of_table = move |golden: &&Golden| golden.table() == Some(table) && golden.is_value();
        self.goldens.iter().filter(of_table)
    }

    /// By case: the records of a table.
    pub(crate) fn by_case<'a>(&'a self, table: &'a str) -> BTreeMap<&'a str, Vec<&'a Golden>> {
        let mut cases = BTreeMap::<_, Vec<_>>::new();
        for golden in self.of_table(table) {
            cases.entry(golden.case.as_str()).or_default().push(golden);
        }
        cases
    }
}

impl Golden {
    /// The record as a handler would have it.
    pub(crate) fn record(&self) -> Record {
        self.record_of(
            self.key.as_deref().map(str::as_bytes),
            self.value.as_deref().map(str::as_bytes),
        )
    }

    /// The record with another key and value.
    pub(crate) fn record_of(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_ref()?.as_bytes())))
            .collect();
        Record::for_test(&self.topic, key, value).with_headers(&headers)
    }

    pub(crate) fn value(&self) -> &str {
        self.value.as_deref().unwrap_or("null")
    }

    /// False for a tombstone, also one that is the text `null`.
    pub(crate) fn is_value(&self) -> bool {
        self.value() != "null"
    }

    /// `users` of the topic `bare.public.users`.
    pub(crate) fn table(&self) -> Option<&str> {
        let (_, table) = self.topic.split_once(".public.")?;
        Some(table)
    }

    /// The value as any JSON, without its schema.
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut json: serde_json::Value = serde_json::from_str(self.value()).unwrap();
        let is_wrapped =
            json.as_object().is_some_and(|fields| fields.len() == 2) && json["schema"].is_object();
        if is_wrapped {
            json["payload"].take()
        } else {
            json
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}
