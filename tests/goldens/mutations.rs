//! Damaged records: never a panic, and never a value that is not in the text.

use kafka_runtime::{
    BatchRecord, ChangeId, DatabaseEvent, DecodeError, FlatEvent, FromRecord, KeyChange, Record,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::golden::Configuration;
use crate::kinds;
use crate::rows::{Members, NotNumbers, Numbers, RowBytes, Structures, Texts, Times, Users};
use crate::typed::{Toasted, is_same};

/// xorshift64*, of a fixed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % limit
    }

    /// Damages a value: a token of JSON, a byte, or a piece of it in another place.
    fn damage(&mut self, value: &str) -> Vec<u8> {
        const TOKENS: [&str; 18] = [
            "null",
            "true",
            "0",
            "-1",
            "1e400",
            "9223372036854775808",
            "\"\"",
            "{}",
            "[]",
            "\"x\"",
            ",",
            ":",
            "\"op\":\"d\",",
            "\"payload\":",
            "\\u0000",
            "\\ud83e",
            "__debezium_unavailable_value",
            "12.34",
        ];
        let mut bytes = value.as_bytes().to_vec();
        for _ in 0..=self.below(2) {
            let at = self.below(bytes.len());
            let len = self.below(12).min(bytes.len() - at);
            match self.below(4) {
                0 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                1 => drop(bytes.splice(at..at + len, TOKENS[self.below(TOKENS.len())].bytes())),
                2 => drop(bytes.drain(at..at + len)),
                _ => {
                    let piece = bytes[at..at + len].to_vec();
                    let to = self.below(bytes.len());
                    drop(bytes.splice(to..to, piece));
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }
}

/// Decodes damaged rows of a table; those that still decode are what the text says.
fn damage<T: DeserializeOwned + Serialize + Send>(table: &str, random: &mut Random) -> (u32, u32) {
    let (mut refused, mut read) = (0, 0);
    for name in ["bare", "wrapped"] {
        let configuration = Configuration::read(name);
        for golden in configuration.of_table(table) {
            for _ in 0..100 {
                let bytes = random.damage(golden.value());
                let record = Record::for_test(&golden.topic, None, Some(&bytes));
                match DatabaseEvent::<T>::from_record(&record) {
                    Err(error) => {
                        refused += 1;
                        is_told_without_values(&error);
                    }
                    Ok(event) => {
                        read += 1;
                        is_in_the_text(&event, &bytes);
                    }
                }
            }
        }
    }
    (refused, read)
}

fn is_told_without_values(error: &DecodeError) {
    let text = error.to_string();
    for value in ["example.org", "example.net", "3f333df6", "Zo\u{eb}"] {
        assert!(!text.contains(value), "{text}");
    }
}

/// Each column that was sent in its own form is the value that was sent.
fn is_in_the_text<T: Serialize>(event: &DatabaseEvent<T>, bytes: &[u8]) {
    // A number out of range can stand where nobody looks.
    let Ok(json) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let json = if json["payload"].is_object() {
        &json["payload"]
    } else {
        &json
    };
    if let Some(after) = event.after() {
        is_row(after, &json["after"]);
    }
}

fn is_row(row: &impl Serialize, json: &Value) {
    let Value::Object(written) = serde_json::to_value(row).unwrap() else {
        panic!("a row is an object");
    };
    for (name, value) in written {
        let sent = &json[&name];
        let is_own_form = std::mem::discriminant(&value) == std::mem::discriminant(sent);
        let is_absent = value.is_null() && sent.is_null();
        assert!(
            !is_own_form || is_absent || is_same(&value, sent),
            "{name}: {value} of {sent}"
        );
    }
}

#[test]
fn damaged_records_are_refused_or_are_what_they_say() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let counts = [
        damage::<Users>("users", &mut random),
        damage::<Members>("members", &mut random),
        damage::<Numbers>("numbers", &mut random),
        damage::<NotNumbers>("not_numbers", &mut random),
        damage::<Texts>("texts", &mut random),
        damage::<RowBytes>("bytes", &mut random),
        damage::<Times>("times", &mut random),
        damage::<Structures>("structures", &mut random),
        damage::<Toasted>("toasted", &mut random),
    ];

    for (refused, read) in counts {
        assert!(refused > 100 && read > 20, "{counts:?}");
    }
}

/// Of every configuration, every kind: key and value.
#[test]
fn no_damaged_record_is_the_end_of_its_reader() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut refused, mut read) = (0, 0);
    for configuration in Configuration::all() {
        for golden in &configuration.goldens {
            for _ in 0..20 {
                let value = random.damage(golden.value());
                let key = golden.key.as_deref().map(|key| random.damage(key));
                let record = golden.record_of(key.as_deref(), Some(&value));
                // What these are of damaged records is theirs; they have to come back.
                let _ = ChangeId::of(&record);
                let _ = KeyChange::<Value>::of(&record);
                let _ = BatchRecord::for_test((), &record).key_as::<Value>();
                match kinds::read(&configuration.name, &record) {
                    Ok(_) => read += 1,
                    Err(error) => {
                        refused += 1;
                        is_told_without_values(&error);
                    }
                }
            }
        }
    }
    assert!(
        refused > 5_000 && read > 1_000,
        "{refused} refused, {read} read"
    );
}

#[test]
fn damaged_rows_that_were_flattened_are_what_they_say() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut read) = (0, 0);
    let configuration = Configuration::read("flattened-rewrite");
    for golden in configuration.of_table("users") {
        for _ in 0..200 {
            let bytes = random.damage(golden.value());
            let record = Record::for_test(&golden.topic, None, Some(&bytes));
            match FlatEvent::<Users>::from_record(&record) {
                Err(error) => {
                    refused += 1;
                    is_told_without_values(&error);
                }
                Ok(event) => {
                    read += 1;
                    if let (Some(row), Ok(json)) = (event.row(), serde_json::from_slice(&bytes)) {
                        is_row(row, &json);
                    }
                }
            }
        }
    }
    assert!(
        refused > 100 && read > 100,
        "{refused} refused, {read} read"
    );
}
