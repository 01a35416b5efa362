//! `point`, and PostGIS' `geometry` and `geography`.

use serde::{Deserialize, Serialize};

use super::{Bytes, Double};

/// A `point`.
///
/// ```
/// # use kafka_core::column::Point;
/// let point: Point = serde_json::from_str(r#"{"x":1.5,"y":-2.0,"wkb":"AQEAAAA=","srid":null}"#)?;
/// assert_eq!((*point.x, *point.y), (1.5, -2.0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The first coordinate.
    pub x: Double,
    /// The second one.
    pub y: Double,
    /// The same in the format Well-Known Binary.
    #[serde(default)]
    pub wkb: Option<Bytes>,
    /// The spatial reference system.
    #[serde(default)]
    pub srid: Option<i32>,
}

/// A `geometry` or `geography` of PostGIS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    /// The shape in the format (Extended) Well-Known Binary.
    pub wkb: Bytes,
    /// The spatial reference system.
    #[serde(default)]
    pub srid: Option<i32>,
}
