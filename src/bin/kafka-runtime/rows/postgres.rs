//! Tables of a live PostgreSQL, as its connector would send them.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio_postgres::{Client, NoTls, Row};

use super::table::{Column, Kind, Table};

/// The connector's settings that decide how columns are sent.
#[derive(Args)]
#[expect(clippy::struct_field_names, reason = "as the connector calls them")]
#[command(next_help_heading = "The connector's settings, of the same name")]
pub(crate) struct Settings {
    #[arg(
        long,
        value_enum,
        value_name = "MODE",
        default_value_t,
        conflicts_with = "event"
    )]
    decimal_handling_mode: Decimals,
    #[arg(
        long,
        value_enum,
        value_name = "MODE",
        default_value_t,
        conflicts_with = "event"
    )]
    time_precision_mode: Times,
    #[arg(
        long,
        value_enum,
        value_name = "MODE",
        default_value_t,
        conflicts_with = "event"
    )]
    binary_handling_mode: Binaries,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Decimals {
    #[default]
    Precise,
    Double,
    String,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Times {
    #[default]
    Adaptive,
    #[value(name = "adaptive_time_microseconds")]
    AdaptiveTimeMicroseconds,
    Connect,
    Microseconds,
    Nanoseconds,
    Isostring,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Binaries {
    #[default]
    Bytes,
    Base64,
    #[value(name = "base64-url-safe")]
    Base64UrlSafe,
    Hex,
}

/// One row for each column of the tables; a domain counts as what it is made of. Generated columns are not replicated.
const COLUMNS: &str = "\
WITH RECURSIVE base (oid, type, typmod) AS (
    SELECT oid, oid, -1 FROM pg_type WHERE typtype <> 'd'
    UNION ALL
    SELECT d.oid, base.type, CASE WHEN d.typtypmod >= 0 THEN d.typtypmod ELSE base.typmod END
    FROM pg_type d JOIN base ON d.typbasetype = base.oid WHERE d.typtype = 'd'
)
SELECT n.nspname || '.' || c.relname AS table_name, c.relreplident = 'f' AS has_full_rows,
       a.attname AS name, a.attnotnull OR coalesce(i.is_key, false) AS is_not_null,
       CASE WHEN a.atttypmod >= 0 THEN a.atttypmod ELSE base.typmod END AS typmod,
       a.attstorage IN ('x', 'e') AS is_large, t.typname AS type, t.typtype = 'e' AS is_enum,
       t.typtype = 'c' AS is_composite, e.typname AS element, e.typtype = 'e' AS is_enum_element,
       coalesce(i.is_key, false) AS is_key, a.attgenerated <> '' AS is_generated
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN base ON base.oid = a.atttypid
JOIN pg_type t ON t.oid = base.type
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
LEFT JOIN LATERAL (
    SELECT true AS is_key FROM pg_index x
    WHERE x.indrelid = c.oid AND x.indisprimary AND a.attnum = ANY (x.indkey)
) i ON true
WHERE c.relkind IN ('r', 'p')
  AND CASE WHEN cardinality($1::text[]) = 0 THEN n.nspname = 'public'
           ELSE n.nspname || '.' || c.relname = ANY ($1) END
ORDER BY table_name, a.attnum";

/// Asks a database for its tables.
pub(super) fn tables(
    url: &str,
    names: &[String],
    settings: &Settings,
) -> anyhow::Result<Vec<Table>> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio.block_on(async {
        // What is wrong with an address may quote its password.
        let config: tokio_postgres::Config = url
            .parse()
            .map_err(|_| anyhow::anyhow!("--postgres is no address: postgres://user:password@host:port/database"))?;
        let (client, connection) = config.connect(NoTls).await.context(
            "connect to PostgreSQL; a server that insists on TLS needs --event instead, or a tunnel",
        )?;
        let connection = tokio::spawn(connection);
        let tables = ask(&client, names, settings).await;
        connection.abort();
        tables
    })
}

async fn ask(client: &Client, names: &[String], settings: &Settings) -> anyhow::Result<Vec<Table>> {
    let rows = client
        .query(COLUMNS, &[&names])
        .await
        .context("ask for the columns")?;
    let mut tables = BTreeMap::<String, Table>::new();
    for row in rows {
        let name: String = row.try_get("table_name")?;
        let has_full_rows = row.try_get("has_full_rows")?;
        let is_key: bool = row.try_get("is_key")?;
        let column = column(&row, settings)?;
        let table = tables.entry(name.clone()).or_insert_with(|| Table {
            name,
            columns: Vec::new(),
            key: Vec::new(),
            has_full_rows,
        });
        if is_key {
            table.key.push(column.clone());
        }
        table.columns.push(column);
    }
    for name in names {
        anyhow::ensure!(
            tables.contains_key(name),
            "there is no table {name}, or this user may not see it; write schema.table"
        );
    }
    Ok(tables.into_values().collect())
}

fn column(row: &Row, settings: &Settings) -> anyhow::Result<Column> {
    let base: String = row.try_get("type")?;
    let element: Option<String> = row.try_get("element")?;
    let typmod: i32 = row.try_get("typmod")?;
    let is_enum: bool = row.try_get("is_enum")?;
    let is_enum_element: Option<bool> = row.try_get("is_enum_element")?;
    let is_key: bool = row.try_get("is_key")?;
    let is_large: bool = row.try_get("is_large")?;
    let is_not_null: bool = row.try_get("is_not_null")?;
    let kind = if row.try_get("is_generated")? {
        Kind::Missing("generated columns are sent by snapshots only".into())
    } else if row.try_get("is_composite")? {
        not_sent(&base)
    } else if is_enum {
        Kind::STRING
    } else if let Some(element) = element {
        array(&element, typmod, is_enum_element == Some(true), settings)
    } else {
        settings.kind(&base, typmod)
    };
    Ok(Column {
        name: row.try_get("name")?,
        // A column of the type `name` arrives as null.
        is_nullable: !is_not_null || base == "name",
        may_be_unavailable: is_large && !is_key && can_be_marked(&kind),
        kind,
    })
}

/// False for what is never stored out of line, or arrives as null if it is.
fn can_be_marked(kind: &Kind) -> bool {
    let is_short = |argument: &Option<String>| matches!(argument.as_deref(), Some("i32" | "i64"));
    match kind {
        Kind::Plain(name) => *name == "String",
        Kind::Column("Bits", _) => false,
        Kind::Column("RangeText", argument) => !is_short(argument),
        _ => true,
    }
}

fn array(element: &str, typmod: i32, is_enum: bool, settings: &Settings) -> Kind {
    // What the connector has no array of.
    if ["money", "name", "interval", "varbit", "xml", "point"].contains(&element) {
        return Kind::Missing(format!("arrays of {element} are not sent by the connector"));
    }
    let items = if is_enum {
        Kind::STRING
    } else {
        settings.kind(element, typmod)
    };
    match items {
        Kind::Missing(reason) => Kind::Missing(reason),
        items => Kind::Array(Box::new(items)),
    }
}

fn not_sent(name: &str) -> Kind {
    Kind::Missing(format!(
        "{name} is sent only with include.unknown.datatypes=true, as base64"
    ))
}

impl Settings {
    fn kind(&self, name: &str, typmod: i32) -> Kind {
        match name {
            "bool" => Kind::Plain("bool"),
            "bit" if typmod == 1 => Kind::Plain("bool"),
            "bit" | "varbit" => Kind::column("Bits"),
            "int2" => Kind::Plain("i16"),
            "int4" => Kind::Plain("i32"),
            "int8" | "oid" => Kind::Plain("i64"),
            "float4" => Kind::column("Real"),
            "float8" => Kind::column("Double"),
            "numeric" | "money" => self.decimal(name, typmod),
            "json" | "jsonb" => Kind::json(),
            "bytea" if self.binary_handling_mode == Binaries::Hex => Kind::column("HexBytes"),
            "bytea" => Kind::column("Bytes"),
            "date" => Kind::column("Date"),
            "time" => Kind::generic("Time", self.unit_of_time(typmod)),
            "timestamp" => Kind::generic("Timestamp", self.unit_of_timestamp(typmod)),
            "timetz" => Kind::column("ZonedTime"),
            "timestamptz" => Kind::column("ZonedTimestamp"),
            "interval" => Kind::column("Interval"),
            "hstore" => Kind::column("Hstore"),
            "point" => Kind::column("Point"),
            "geometry" | "geography" => Kind::column("Geometry"),
            "uuid" => Kind::Uuid,
            "int4range" => Kind::generic("RangeText", "i32"),
            "int8range" => Kind::generic("RangeText", "i64"),
            "numrange" => Kind::generic("RangeText", "DecimalValue"),
            "tsrange" | "tstzrange" | "daterange" => Kind::generic("RangeText", "String"),
            "text" | "varchar" | "bpchar" | "citext" | "char" | "name" | "xml" | "ltree"
            | "inet" | "cidr" | "macaddr" | "macaddr8" => Kind::STRING,
            other => not_sent(other),
        }
    }

    fn decimal(&self, name: &str, typmod: i32) -> Kind {
        match self.decimal_handling_mode {
            Decimals::Double => Kind::column("Double"),
            Decimals::String => Kind::column("DecimalText"),
            Decimals::Precise if name == "money" => Kind::generic("Decimal", "2"),
            Decimals::Precise => match scale(typmod) {
                Some(scale) => Kind::generic("Decimal", scale.to_string()),
                None => Kind::column("VariableScaleDecimal"),
            },
        }
    }

    fn unit_of_time(&self, typmod: i32) -> &'static str {
        match self.time_precision_mode {
            Times::Adaptive if (0..=3).contains(&typmod) => "Millis",
            Times::Connect => "Millis",
            Times::Nanoseconds => "Nanos",
            _ => "Micros",
        }
    }

    fn unit_of_timestamp(&self, typmod: i32) -> &'static str {
        match self.time_precision_mode {
            Times::Adaptive | Times::AdaptiveTimeMicroseconds if (0..=3).contains(&typmod) => {
                "Millis"
            }
            Times::Connect => "Millis",
            Times::Nanoseconds => "Nanos",
            _ => "Micros",
        }
    }
}

/// The scale of `numeric(p, s)`, out of PostgreSQL's type modifier (`numeric_typmod_scale`); `None` without one, or if it
/// is below zero.
fn scale(typmod: i32) -> Option<u32> {
    let modifier = u32::try_from(typmod.checked_sub(4)?).ok()?;
    // 11 bits with a sign.
    let scale = modifier & 0x7ff;
    (scale < 0x400).then_some(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: Settings = Settings {
        decimal_handling_mode: Decimals::Precise,
        time_precision_mode: Times::Adaptive,
        binary_handling_mode: Binaries::Bytes,
    };

    #[test]
    fn the_scale_is_read_out_of_the_modifier() {
        // numeric(10, 2), numeric(38, 0), numeric, numeric(3, -2)
        let modifier = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;

        assert_eq!(scale(modifier(10, 2)), Some(2));
        assert_eq!(scale(modifier(38, 0)), Some(0));
        assert_eq!(scale(-1), None);
        assert_eq!(scale(modifier(3, -2)), None);
    }

    #[test]
    fn the_unit_follows_the_mode_and_the_precision() {
        let with = |time_precision_mode| Settings {
            time_precision_mode,
            ..DEFAULTS
        };
        for (settings, typmod, time, timestamp) in [
            (DEFAULTS, -1, "Micros", "Micros"),
            (DEFAULTS, 3, "Millis", "Millis"),
            (DEFAULTS, 6, "Micros", "Micros"),
            (with(Times::AdaptiveTimeMicroseconds), 3, "Micros", "Millis"),
            (with(Times::Connect), 6, "Millis", "Millis"),
            (with(Times::Microseconds), 3, "Micros", "Micros"),
            (with(Times::Nanoseconds), 3, "Nanos", "Nanos"),
        ] {
            assert_eq!(settings.kind("time", typmod), Kind::generic("Time", time));
            assert_eq!(
                settings.kind("timestamp", typmod),
                Kind::generic("Timestamp", timestamp)
            );
        }
    }

    #[test]
    fn what_is_not_sent_says_so() {
        let kinds = [
            DEFAULTS.kind("polygon", -1),
            array("money", -1, false, &DEFAULTS),
            array("tsvector", -1, false, &DEFAULTS),
        ];

        for kind in kinds {
            assert!(matches!(kind, Kind::Missing(_)), "{kind:?}");
        }
        assert_eq!(
            array("mood", -1, true, &DEFAULTS),
            Kind::Array(Box::new(Kind::STRING))
        );
    }
}
