//! To and from the types of other crates.

/// A value that the other type cannot hold: an infinity, `NaN`, 24:00, or beyond its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is beyond what the type can hold")]
pub struct OutOfRange(pub(super) &'static str);
