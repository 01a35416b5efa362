//! The table of a captured event: what Kafka Connect's schema says of its columns.

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use super::table::{Column, Kind, Table};

#[derive(Deserialize)]
struct Wrapped {
    schema: Option<Schema>,
    payload: Option<serde_json::Value>,
}

/// A schema of Connect, as `JsonConverter` writes it.
#[derive(Deserialize)]
struct Schema {
    r#type: String,
    #[serde(default)]
    optional: bool,
    /// What it means: `io.debezium.time.Date`, …
    name: Option<String>,
    /// The field of the struct that it is of.
    field: Option<String>,
    #[serde(default)]
    fields: Vec<Schema>,
    items: Option<Box<Schema>>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    scale: Option<String>,
}

/// The key of a captured record.
pub(super) struct Key {
    /// The topic, by the schema's name.
    topic: Option<String>,
    columns: Vec<Column>,
}

/// Reads a key with its schema.
pub(super) fn key(text: &str) -> anyhow::Result<Key> {
    let schema = read(text)?.schema.context(
        "this key carries no schema: capture one with key.converter.schemas.enable=true",
    )?;
    let columns = columns(&schema)?.into_iter();
    let never_unavailable = |column| Column {
        may_be_unavailable: false,
        ..column
    };
    Ok(Key {
        topic: topic(&schema),
        columns: columns.map(never_unavailable).collect(),
    })
}

/// Reads the table of a value, with that of the keys which is its own.
pub(super) fn table(value: &str, keys: &[Key]) -> anyhow::Result<Table> {
    let wrapped = read(value)?;
    let schema = wrapped.schema.context(
        "this value carries no schema: capture one with value.converter.schemas.enable=true, or use --postgres",
    )?;
    let payload = wrapped.payload.unwrap_or_default();
    // An envelope has a row in `after` and `before`; a flattened record is a row.
    let mut fields = schema.fields.iter();
    let after =
        fields.find(|field| field.field.as_deref() == Some("after") && field.r#type == "struct");
    let row = after.unwrap_or(&schema);
    let topic = topic(row);
    let key = keys.iter().find(|key| key.topic == topic);
    let key = key.map_or(&[][..], |key| &key.columns);
    let is_key = |column: &Column| key.iter().any(|one| one.name == column.name);
    // What the transform added to a flattened row is no column.
    let is_added = |column: &Column| after.is_none() && column.name.starts_with("__");
    let columns = columns(row)?.into_iter().filter(|column| !is_added(column));
    let columns = columns.map(|column| Column {
        may_be_unavailable: column.may_be_unavailable && !is_key(&column),
        ..column
    });
    Ok(Table {
        name: table_name(&payload)
            .or(topic)
            .unwrap_or_else(|| "row".to_owned()),
        columns: columns.collect(),
        key: key.to_vec(),
        has_full_rows: false,
    })
}

fn read(text: &str) -> anyhow::Result<Wrapped> {
    // serde_json's own words quote what they found.
    serde_json::from_str(text).map_err(|error| {
        anyhow::anyhow!(
            "not a value with its schema, {{\"schema\": …, \"payload\": …}} (line {}, column {})",
            error.line(),
            error.column()
        )
    })
}

/// `public.users`, by the event's source.
fn table_name(payload: &serde_json::Value) -> Option<String> {
    let source = &payload["source"];
    let (schema, table) = (source["schema"].as_str()?, source["table"].as_str()?);
    Some(format!("{schema}.{table}"))
}

/// `prefix.public.users`, of `prefix.public.users.Value` or `….Key`.
fn topic(row: &Schema) -> Option<String> {
    let (topic, _) = row.name.as_deref()?.rsplit_once('.')?;
    Some(topic.to_owned())
}

fn columns(row: &Schema) -> anyhow::Result<Vec<Column>> {
    ensure!(
        row.r#type == "struct",
        "the schema describes a {}, not a row",
        row.r#type
    );
    let columns = row.fields.iter().map(|field| {
        let name = field
            .field
            .clone()
            .context("a field of the schema has no name")?;
        let kind = kind(field).with_context(|| format!("column {name}"))?;
        Ok(Column {
            may_be_unavailable: ["string", "bytes", "array", "map"].contains(&&*field.r#type)
                && is_large(field),
            name,
            kind,
            is_nullable: field.optional,
        })
    });
    columns.collect()
}

/// False for what is text only in JSON.
fn is_large(field: &Schema) -> bool {
    let Some(name) = field.name.as_deref() else {
        return true;
    };
    let small = [
        "io.debezium.time.",
        "io.debezium.data.Enum",
        "io.debezium.data.Uuid",
    ];
    !small.iter().any(|prefix| name.starts_with(prefix))
        && name != "org.apache.kafka.connect.data.Decimal"
        && name != "io.debezium.data.Bits"
}

fn kind(schema: &Schema) -> anyhow::Result<Kind> {
    if let Some(kind) = schema
        .name
        .as_deref()
        .and_then(|name| meaning(name, schema))
    {
        return Ok(kind);
    }
    Ok(match &*schema.r#type {
        "boolean" => Kind::Plain("bool"),
        "int8" => Kind::Plain("i8"),
        "int16" => Kind::Plain("i16"),
        "int32" => Kind::Plain("i32"),
        "int64" => Kind::Plain("i64"),
        "float" | "float32" => Kind::column("Real"),
        "double" | "float64" => Kind::column("Double"),
        "string" => Kind::STRING,
        "bytes" => Kind::column("Bytes"),
        "map" => Kind::column("Hstore"),
        "array" => {
            let items = schema.items.as_deref().context("an array without items")?;
            Kind::Array(Box::new(kind(items)?))
        }
        "struct" => Kind::Plain("serde_json::Value"),
        other => bail!("the type {other} is not known"),
    })
}

/// What the name of a schema says, if it says something.
fn meaning(name: &str, schema: &Schema) -> Option<Kind> {
    Some(match name {
        "org.apache.kafka.connect.data.Decimal" => {
            let scale: u32 = schema.parameters.scale.as_ref()?.parse().ok()?;
            Kind::generic("Decimal", scale.to_string())
        }
        "io.debezium.data.VariableScaleDecimal" => Kind::column("VariableScaleDecimal"),
        "io.debezium.time.Date"
        | "io.debezium.time.IsoDate"
        | "org.apache.kafka.connect.data.Date" => Kind::column("Date"),
        "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time" => {
            Kind::generic("Time", "Millis")
        }
        "io.debezium.time.MicroTime" | "io.debezium.time.IsoTime" => {
            Kind::generic("Time", "Micros")
        }
        "io.debezium.time.NanoTime" => Kind::generic("Time", "Nanos"),
        "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => {
            Kind::generic("Timestamp", "Millis")
        }
        "io.debezium.time.MicroTimestamp" | "io.debezium.time.IsoTimestamp" => {
            Kind::generic("Timestamp", "Micros")
        }
        "io.debezium.time.NanoTimestamp" => Kind::generic("Timestamp", "Nanos"),
        "io.debezium.time.ZonedTime" => Kind::column("ZonedTime"),
        "io.debezium.time.ZonedTimestamp" => Kind::column("ZonedTimestamp"),
        "io.debezium.time.MicroDuration" | "io.debezium.time.Interval" => Kind::column("Interval"),
        "io.debezium.data.Json" => Kind::json(),
        "io.debezium.data.Uuid" => Kind::Uuid,
        "io.debezium.data.Bits" => Kind::column("Bits"),
        "io.debezium.data.geometry.Point" => Kind::column("Point"),
        "io.debezium.data.geometry.Geometry" | "io.debezium.data.geometry.Geography" => {
            Kind::column("Geometry")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_from_the_row_of_the_envelope() {
        let value = r#"{"schema":{"type":"struct","fields":[
            {"type":"struct","field":"before","optional":true,"fields":[]},
            {"type":"struct","field":"after","optional":true,"name":"auth.public.users.Value","fields":[
                {"type":"int64","optional":false,"field":"id"},
                {"type":"string","optional":true,"field":"note"},
                {"type":"bytes","optional":false,"field":"price","name":"org.apache.kafka.connect.data.Decimal",
                 "parameters":{"scale":"2","connect.decimal.precision":"10"}},
                {"type":"array","optional":true,"field":"tags","items":{"type":"string","optional":true}}]}]},
            "payload":{"source":{"schema":"public","table":"users"}}}"#;
        let of_key = r#"{"schema":{"type":"struct","name":"auth.public.users.Key","fields":[{"type":"int64","optional":false,"field":"id"}]},"payload":{"id":7}}"#;

        let table = table(value, &[key(of_key).unwrap()]).unwrap();

        let kinds = table
            .columns
            .iter()
            .map(|column| (&*column.name, &column.kind, column.is_nullable));
        assert_eq!(
            kinds.collect::<Vec<_>>(),
            [
                ("id", &Kind::Plain("i64"), false),
                ("note", &Kind::STRING, true),
                ("price", &Kind::generic("Decimal", "2"), false),
                ("tags", &Kind::Array(Box::new(Kind::STRING)), true),
            ]
        );
        assert_eq!((&*table.name, table.key.len()), ("public.users", 1));
        let large = table
            .columns
            .iter()
            .filter(|column| column.may_be_unavailable);
        assert_eq!(
            large.map(|column| &*column.name).collect::<Vec<_>>(),
            ["note", "tags"]
        );
    }

    #[test]
    fn a_flattened_row_has_no_envelope() {
        let value = r#"{"schema":{"type":"struct","name":"auth.public.users.Value","fields":[
            {"type":"int32","optional":false,"field":"id"},{"type":"string","optional":true,"field":"__op"}]},
            "payload":{"id":7,"__op":"c"}}"#;

        let table = table(value, &[]).unwrap();

        assert_eq!(
            (&*table.name, table.columns.len()),
            ("auth.public.users", 1)
        );
    }

    #[test]
    fn what_has_no_schema_is_refused_without_its_values() {
        let bare = table(r#"{"before":null,"after":{"id":"hunter2"},"op":"c"}"#, &[]).unwrap_err();
        let broken = table(r#"{"schema":"hunter2"}"#, &[]).unwrap_err();
        let scalar = table(r#"{"schema":{"type":"string"},"payload":"x"}"#, &[]).unwrap_err();

        assert!(
            format!("{bare:#}").contains("schemas.enable=true"),
            "{bare:#}"
        );
        assert!(!format!("{broken:#}").contains("hunter2"), "{broken:#}");
        assert!(
            format!("{scalar:#}").contains("describes a string"),
            "{scalar:#}"
        );
    }
}
