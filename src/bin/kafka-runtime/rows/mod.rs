//! `kafka-runtime rows`: prints Rust structs for the rows of captured tables.
//!
//! | file | has |
//! |---|---|
//! | `table` | a table, whatever told of it |
//! | `postgres` | tables of a live PostgreSQL |
//! | `event` | the table of a captured event, by its schema |
//! | `rust` | how a table is printed |

mod event;
mod postgres;
mod rust;
mod table;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{ArgGroup, Args};

use self::postgres::Settings;
use self::rust::Style;
use self::table::Table;

/// Prints Rust structs for the rows of tables that Debezium captures, with the right type for each column.
///
/// Of a live PostgreSQL, with the settings that its connector has; or of one captured event that carries its schema
/// (`value.converter.schemas.enable=true`). A schema tells how a column is sent, but for decimals in text and bytes in base64 or
/// hexadecimal, which are strings there, and are printed as such.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    group = ArgGroup::new("source").required(true).args(["postgres", "event"]),
    after_help = "Examples:
  kafka-runtime rows --postgres postgres://app@localhost/shop --table public.users --table public.orders
  kafka-runtime rows --event value.json --key-event key.json > src/rows.rs"
)]
pub(crate) struct RowsArgs {
    /// The database, postgres://user:password@host:port/database; without TLS
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,

    /// A table, schema.table (repeatable) [default: all of the schema public]
    #[arg(long, value_name = "TABLE", conflicts_with = "event")]
    table: Vec<String>,

    /// A file with the value of a captured record that carries its schema; - reads it from the standard input (repeatable)
    #[arg(long, value_name = "FILE")]
    event: Vec<PathBuf>,

    /// A file with the key of such a record, with its schema, for a struct of the key, too (repeatable)
    #[arg(long, value_name = "FILE", requires = "event")]
    key_event: Vec<PathBuf>,

    #[command(flatten)]
    settings: Settings,

    /// Columns that PostgreSQL may store out of line as they are, not as `Toast<_>`: for tables with REPLICA IDENTITY FULL
    #[arg(long, help_heading = "What is printed")]
    no_toast: bool,

    /// UUIDs as `uuid::Uuid`, not as `String`: needs the crate uuid with its feature serde
    #[arg(long, help_heading = "What is printed")]
    uuid: bool,

    /// Derive this, too, such as `PartialEq` (repeatable)
    #[arg(long, value_name = "TRAIT", help_heading = "What is printed")]
    derive: Vec<String>,

    /// The crate by another name
    #[arg(
        long,
        value_name = "PATH",
        default_value = "kafka_runtime",
        help_heading = "What is printed"
    )]
    crate_path: String,
}

/// Runs the command; true if it printed something.
pub(crate) fn run(args: RowsArgs) -> anyhow::Result<bool> {
    let tables = match &args.postgres {
        Some(url) => postgres::tables(url, &args.table, &args.settings)?,
        None => of_events(&args.event, &args.key_event)?,
    };
    anyhow::ensure!(
        !tables.is_empty(),
        "no table found: name one, --table schema.table; this user may not see it"
    );
    let style = Style {
        has_toast: !args.no_toast,
        has_uuid: args.uuid,
        derive: args.derive,
        crate_path: args.crate_path,
    };
    std::io::stdout().write_all(rust::print(&tables, &style).as_bytes())?;
    Ok(true)
}

fn of_events(values: &[PathBuf], keys: &[PathBuf]) -> anyhow::Result<Vec<Table>> {
    let keys = keys.iter().map(|file| {
        let key = read(file).and_then(|text| event::key(&text));
        key.with_context(|| file.display().to_string())
    });
    let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
    let tables = values.iter().map(|file| {
        let table = read(file).and_then(|text| event::table(&text, &keys));
        table.with_context(|| file.display().to_string())
    });
    tables.collect()
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    Ok(fs::read_to_string(file)?)
}
