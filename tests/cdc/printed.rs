//! `kafka-runtime rows` at a live database prints the structs that the goldens are read by.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use test_support::{Pipeline, PipelineBuilder, Suite, TestResult};

use crate::stage::Stage;

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test("printed::rows_of_a_database_are_those_of_the_goldens", rows)
        .test("printed::settings_change_the_types", settings)
        .test(
            "printed::what_cannot_be_printed_is_an_error_without_the_password",
            errors,
        )
}

/// The command, at a database.
fn command(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-runtime-under-test"));
    command.args(["rows", "--postgres", url]);
    command
}

/// `ROWS=print cargo test -p kafka-runtime-tests --test cdc printed` writes the file anew.
async fn rows(pipeline: &Pipeline) -> TestResult {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = fs::read_to_string(root.join("harness/src/cdc/schema.sql"))?;
    let database = pipeline
        .postgres()
        .create_database(&Stage::any_name())
        .await?;
    database.execute(&schema).await?;

    let mut command = command(&database.url());
    let output = command
        .args(["--derive", "PartialEq", "--derive", "serde::Serialize"])
        .output()?;

    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout)?;
    let file = root.join("goldens/database_rows.rs");
    if env::var("ROWS").is_ok_and(|what| what == "print") {
        fs::write(&file, &printed)?;
    }
    // Lines of imports are broken by rustfmt.
    let squeezed = |text: &str| {
        text.split_whitespace()
            .collect::<String>()
            .replace(",}", "}")
    };
    assert_eq!(
        squeezed(&fs::read_to_string(file)?),
        squeezed(&printed),
        "print it anew, see above"
    );
    Ok(())
}

async fn settings(pipeline: &Pipeline) -> TestResult {
    let database = pipeline
        .postgres()
        .create_database(&Stage::any_name())
        .await?;
    let table = "CREATE TABLE t (id uuid PRIMARY KEY, n numeric(10, 2), at timestamp(3), data bytea, note text NOT NULL)";
    database.execute(table).await?;

    let mut command = command(&database.url());
    let command = command.args([
        "--table",
        "public.t",
        "--no-toast",
        "--uuid",
        "--crate-path",
        "my_kafka",
    ]);
    let command = command.args([
        "--decimal-handling-mode",
        "string",
        "--time-precision-mode",
        "microseconds",
    ]);
    let output = command.args(["--binary-handling-mode", "hex"]).output()?;

    let printed = String::from_utf8(output.stdout)?;
    for line in [
        "use my_kafka::column::{DecimalText, HexBytes, Micros, Timestamp};",
        "pub id: uuid::Uuid,",
        "pub n: Option<DecimalText>,",
        "pub at: Option<Timestamp<Micros>>,",
        "pub data: Option<HexBytes>,",
        "pub note: String,",
    ] {
        assert!(printed.contains(line), "{line}:\n{printed}");
    }
    Ok(())
}

async fn errors(pipeline: &Pipeline) -> TestResult {
    let database = pipeline
        .postgres()
        .create_database(&Stage::any_name())
        .await?;
    let absent = command(&database.url())
        .args(["--table", "public.absent"])
        .output()?;
    let empty = command(&database.url()).output()?;
    let refused = command("postgres://ada:hunter2@127.0.0.1:1/shop").output()?;
    let garbage = command("postgres://ada:hunter2@").output()?;

    for (output, words) in [
        (absent, "there is no table public.absent"),
        (empty, "no table found: name one"),
        (refused, "connect to PostgreSQL"),
        (garbage, "connect to PostgreSQL"),
    ] {
        let told = String::from_utf8(output.stderr)?;
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{told}"
        );
        assert!(
            told.contains(words) && !told.contains("hunter2"),
            "{words}: {told}"
        );
    }
    Ok(())
}
