//! A captured table, whatever told of it.

/// A table.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    /// `public.users`
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// The columns of its key, by name.
    pub(super) key: Vec<Column>,
    /// Old rows are complete, and no value is left out: `REPLICA IDENTITY FULL`.
    pub(super) has_full_rows: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_nullable: bool,
    /// A value that is stored out of line and did not change is not sent.
    pub(super) may_be_unavailable: bool,
}

/// What a column holds, as its Rust type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A type that needs no import.
    Plain(&'static str),
    /// A type of the module `column`, with what stands between its angle brackets.
    Column(&'static str, Option<String>),
    Uuid,
    Array(Box<Kind>),
    /// The connector does not send it; the reason.
    Missing(String),
}

impl Kind {
    pub(super) const STRING: Self = Self::Plain("String");

    pub(super) fn column(name: &'static str) -> Self {
        Self::Column(name, None)
    }

    pub(super) fn generic(name: &'static str, argument: impl Into<String>) -> Self {
        Self::Column(name, Some(argument.into()))
    }

    /// JSON in text, of whatever shape.
    pub(super) fn json() -> Self {
        Self::generic("JsonText", "serde_json::Value")
    }
}
