//! `rows.rs` is what `kafka-runtime rows` prints for the tables of the goldens.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::golden::{Configuration, Golden};

/// `ROWS=print cargo test -p kafka-runtime-tests --test goldens` writes the file anew.
#[test]
fn the_structs_are_those_that_the_command_prints() {
    let wrapped = Configuration::read("wrapped");
    let folder = env::temp_dir().join(format!("kafka-runtime-rows-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut tables: Vec<&str> = wrapped.goldens.iter().filter_map(Golden::table).collect();
    tables.sort_unstable();
    tables.dedup();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-runtime-under-test"));
    command.args([
        "rows",
        "--derive",
        "PartialEq",
        "--derive",
        "serde::Serialize",
    ]);
    for table in tables {
        let mut goldens = wrapped.of_table(table);
        let Some(golden) = goldens.find(|golden| !golden.json()["after"].is_null()) else {
            continue;
        };
        let value = folder.join(format!("{table}.value"));
        fs::write(&value, golden.value()).unwrap();
        command.arg("--event").arg(value);
        if let Some(key) = &golden.key {
            let file = folder.join(format!("{table}.key"));
            fs::write(&file, key).unwrap();
            command.arg("--key-event").arg(file);
        }
    }

    let output = command.output().unwrap();
    fs::remove_dir_all(&folder).unwrap();

    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/rows.rs");
    if env::var("ROWS").is_ok_and(|what| what == "print") {
        fs::write(&file, &printed).unwrap();
    }
    // Lines of imports are broken by rustfmt.
    let squeezed = |text: &str| {
        text.split_whitespace()
            .collect::<String>()
            .replace(",}", "}")
    };
    assert_eq!(
        squeezed(&fs::read_to_string(file).unwrap()),
        squeezed(&printed),
        "print it anew, see above"
    );
}
