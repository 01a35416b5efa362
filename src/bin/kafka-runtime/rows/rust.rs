//! Tables as Rust.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::table::{Column, Kind, Table};

/// How tables are printed.
pub(super) struct Style {
    pub(super) has_toast: bool,
    pub(super) has_uuid: bool,
    /// More traits to derive.
    pub(super) derive: Vec<String>,
    pub(super) crate_path: String,
}

impl Style {
    fn derived(&self) -> String {
        let own = ["Debug", "Clone", "serde::Deserialize"].into_iter();
        let all: Vec<_> = own.chain(self.derive.iter().map(String::as_str)).collect();
        all.join(", ")
    }
}

/// Prints a struct for the rows of each table, and one for their keys.
pub(super) fn print(tables: &[Table], style: &Style) -> String {
    let mut imports = BTreeSet::new();
    let mut body = String::new();
    let mut names = BTreeSet::new();
    for table in tables {
        let name = struct_name(table, &mut names);
        print_struct(&mut body, table, &name, style, &mut imports);
        if !table.key.is_empty() {
            print_key(&mut body, table, &name, style, &mut imports);
        }
    }
    let mut text = format!(
        "// Printed by `kafka-runtime rows` {}.\n\n",
        env!("CARGO_PKG_VERSION")
    );
    if !imports.is_empty() {
        let imports: Vec<_> = imports.into_iter().collect();
        let _ = writeln!(
            text,
            "use {}::column::{{{}}};\n",
            style.crate_path,
            imports.join(", ")
        );
    }
    text.push_str(body.trim_end());
    text.push('\n');
    text
}

fn print_struct(
    text: &mut String,
    table: &Table,
    name: &str,
    style: &Style,
    imports: &mut BTreeSet<&'static str>,
) {
    let has_toast = style.has_toast && !table.has_full_rows;
    let _ = writeln!(
        text,
        "/// A row of `{}`: take `DatabaseEvent<{name}>`.",
        comment(&table.name)
    );
    let _ = writeln!(text, "#[derive({})]", style.derived());
    let _ = writeln!(text, "pub struct {name} {{");
    let mut fields = BTreeSet::new();
    for column in &table.columns {
        let may_be_unavailable = has_toast && column.may_be_unavailable;
        print_field(
            text,
            column,
            may_be_unavailable,
            style,
            imports,
            &mut fields,
        );
    }
    let _ = writeln!(text, "}}\n");
}

fn print_key(
    text: &mut String,
    table: &Table,
    name: &str,
    style: &Style,
    imports: &mut BTreeSet<&'static str>,
) {
    let _ = writeln!(
        text,
        "/// The key of `{}`: take `Key<{name}Key>`, and `before.key::<{name}Key>()` of an old row.",
        comment(&table.name)
    );
    let _ = writeln!(text, "#[derive({})]", style.derived());
    let _ = writeln!(text, "pub struct {name}Key {{");
    let mut fields = BTreeSet::new();
    for column in &table.key {
        print_field(text, column, false, style, imports, &mut fields);
    }
    let _ = writeln!(text, "}}\n");
}

fn print_field(
    text: &mut String,
    column: &Column,
    may_be_unavailable: bool,
    style: &Style,
    imports: &mut BTreeSet<&'static str>,
    taken: &mut BTreeSet<String>,
) {
    if let Kind::Missing(reason) = &column.kind {
        let _ = writeln!(
            text,
            "    // {}: {}",
            comment(&column.name),
            comment(reason)
        );
        return;
    }
    let mut rust_type = type_of(&column.kind, style, imports);
    if column.is_nullable {
        rust_type = format!("Option<{rust_type}>");
    }
    if may_be_unavailable {
        imports.insert("Toast");
        rust_type = format!("Toast<{rust_type}>");
    }
    let mut name = field_name(&column.name);
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    if name.strip_prefix("r#").unwrap_or(&name) != column.name {
        let _ = writeln!(text, "    #[serde(rename = {:?})]", column.name);
    }
    let _ = writeln!(text, "    pub {name}: {rust_type},");
}

fn type_of(kind: &Kind, style: &Style, imports: &mut BTreeSet<&'static str>) -> String {
    match kind {
        Kind::Plain(name) => (*name).to_owned(),
        Kind::Uuid if style.has_uuid => "uuid::Uuid".to_owned(),
        Kind::Uuid | Kind::Missing(_) => "String".to_owned(),
        Kind::Array(items) => format!("Vec<Option<{}>>", type_of(items, style, imports)),
        Kind::Column(name, argument) => {
            imports.insert(name);
            let Some(argument) = argument else {
                return (*name).to_owned();
            };
            let own = ["Millis", "Micros", "Nanos", "DecimalValue"];
            imports.extend(own.iter().filter(|own| argument == *own));
            format!("{name}<{argument}>")
        }
    }
}

/// `public.user_accounts` is `UserAccounts`; with its schema, if another table has that name already.
fn struct_name(table: &Table, taken: &mut BTreeSet<String>) -> String {
    let short = table.name.rsplit('.').next().unwrap_or_default();
    let candidates = [short, &table.name];
    let mut names = candidates
        .iter()
        .map(|name| camel_case(name))
        .collect::<Vec<_>>();
    let longest = names.last().cloned().unwrap_or_default();
    names.extend((2..).map(|n| format!("{longest}{n}")).take(100));
    let is_free = |name: &String| !taken.contains(name) && !taken.contains(&format!("{name}Key"));
    let name = names.into_iter().find(is_free).unwrap_or(longest);
    taken.insert(format!("{name}Key"));
    taken.insert(name.clone());
    name
}

fn camel_case(name: &str) -> String {
    let mut result = String::new();
    let mut is_start = true;
    for c in name.chars() {
        if !is_in_names(c) {
            is_start = true;
        } else if is_start {
            result.extend(c.to_uppercase());
            is_start = false;
        } else {
            result.push(c);
        }
    }
    // Names of the prelude and of this crate's column types would be shadowed, or shadow them.
    let is_reserved = RESERVED_TYPES.contains(&&*result);
    if result.is_empty() || result.starts_with(|c: char| c.is_numeric()) || is_reserved {
        result.insert_str(0, "Row");
    }
    result
}

/// True for letters and digits that Rust takes in names; `²` is none.
fn is_in_names(c: char) -> bool {
    c.is_alphabetic() || c.is_ascii_digit()
}

const RESERVED_TYPES: &[&str] = &[
    "Self",
    "Option",
    "Vec",
    "String",
    "Some",
    "None",
    "Box",
    "Result",
    "Ok",
    "Err",
    "Toast",
    "Decimal",
    "DecimalText",
    "DecimalValue",
    "VariableScaleDecimal",
    "Double",
    "Real",
    "Millis",
    "Micros",
    "Nanos",
    "Date",
    "Time",
    "ZonedTime",
    "Timestamp",
    "ZonedTimestamp",
    "Interval",
    "JsonText",
    "Bytes",
    "HexBytes",
    "Bits",
    "Hstore",
    "Point",
    "Geometry",
    "RangeText",
    "Debug",
    "Clone",
    "Default",
];

/// A name for a field: letters, digits and underscores, no keyword.
fn field_name(column: &str) -> String {
    let mut name = String::new();
    let mut was_lower = false;
    for c in column.chars() {
        if !is_in_names(c) && c != '_' {
            name.push('_');
            was_lower = false;
            continue;
        }
        if c.is_uppercase() && was_lower {
            name.push('_');
        }
        was_lower = c.is_lowercase() || c.is_numeric();
        name.extend(c.to_lowercase());
    }
    if name.is_empty()
        || name.starts_with(|c: char| c.is_numeric())
        || name.chars().all(|c| c == '_')
    {
        name.insert_str(0, "column_");
    }
    if ["self", "super", "crate"].contains(&&*name) {
        name.push('_');
    }
    if KEYWORDS.contains(&&*name) {
        name.insert_str(0, "r#");
    }
    name
}

/// Rust's keywords, strict and reserved, of all editions; those that cannot be raw are treated before.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Text that stays within its comment.
fn comment(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: Kind) -> Column {
        Column {
            name: name.to_owned(),
            kind,
            is_nullable: false,
            may_be_unavailable: false,
        }
    }

    fn style() -> Style {
        Style {
            has_toast: true,
            has_uuid: false,
            derive: Vec::new(),
            crate_path: "kafka_runtime".into(),
        }
    }

    #[test]
    fn a_table_is_a_struct_and_its_key_another() {
        let id = column("id", Kind::Plain("i64"));
        let note = Column {
            is_nullable: true,
            may_be_unavailable: true,
            ..column("type", Kind::json())
        };
        let table = Table {
            name: "public.user_accounts".into(),
            columns: vec![
                id.clone(),
                note,
                column("createdAt", Kind::generic("Timestamp", "Micros")),
                column("shape", Kind::Missing("polygon is not captured".into())),
            ],
            key: vec![id],
            has_full_rows: false,
        };

        let text = print(&[table], &style());

        let (_, code) = text.split_once("\n\n").unwrap();
        assert_eq!(
            code,
            "use kafka_runtime::column::{JsonText, Micros, Timestamp, Toast};

/// A row of `public.user_accounts`: take `DatabaseEvent<UserAccounts>`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct UserAccounts {
    pub id: i64,
    pub r#type: Toast<Option<JsonText<serde_json::Value>>>,
    #[serde(rename = \"createdAt\")]
    pub created_at: Timestamp<Micros>,
    // shape: polygon is not captured
}

/// The key of `public.user_accounts`: take `Key<UserAccountsKey>`, and `before.key::<UserAccountsKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct UserAccountsKey {
    pub id: i64,
}
"
        );
    }

    #[test]
    fn any_name_becomes_one_of_rust() {
        for (column, field) in [
            ("id", "id"),
            ("userId", "user_id"),
            ("HTTPStatus", "httpstatus"),
            ("first name", "first_name"),
            ("1st", "column_1st"),
            ("self", "self_"),
            ("fn", "r#fn"),
            ("_", "column__"),
            ("größe", "größe"),
            ("a\"b", "a_b"),
            ("m²", "m_"),
        ] {
            assert_eq!(field_name(column), field);
        }
        assert_eq!(camel_case("order_items"), "OrderItems");
        assert_eq!(camel_case("2024"), "Row2024");
        assert_eq!(camel_case("date"), "RowDate");
    }

    #[test]
    fn two_columns_of_one_name_in_rust_are_two_fields() {
        let table = Table {
            name: "t".into(),
            columns: ["userId", "user_id"]
                .map(|name| column(name, Kind::Plain("i64")))
                .into(),
            key: Vec::new(),
            has_full_rows: false,
        };

        let text = print(&[table], &style());

        assert!(
            text.contains("#[serde(rename = \"userId\")]\n    pub user_id: i64,"),
            "{text}"
        );
        assert!(
            text.contains("#[serde(rename = \"user_id\")]\n    pub user_id_: i64,"),
            "{text}"
        );
    }

    #[test]
    fn two_tables_of_one_name_are_two_structs() {
        let mut taken = BTreeSet::new();
        let table = |name: &str| Table {
            name: name.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            has_full_rows: false,
        };

        let names =
            ["a.users", "b.users", "b.users"].map(|name| struct_name(&table(name), &mut taken));

        assert_eq!(names, ["Users", "BUsers", "BUsers2"]);
    }
}
