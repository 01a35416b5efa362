//! The connector's sign of life.

use serde::Deserialize;
use serde::de::Deserializer;

use crate::connect;

/// A record of the topic `__debezium-heartbeat.{prefix}` (`heartbeat.interval.ms`).
///
/// ```
/// # use kafka_core::Heartbeat;
/// let beat: Heartbeat = serde_json::from_str(r#"{"ts_ms":1700000000000}"#)?;
/// assert_eq!(beat.ts_ms, 1_700_000_000_000);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Heartbeat {
    /// When the connector sent it: milliseconds since the Unix epoch.
    pub ts_ms: i64,
}

impl<'de> Deserialize<'de> for Heartbeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        connect::unwrapped(deserializer, |json| Self::deserialize(json))
    }
}

/// The key of a [`Heartbeat`]: take `Key<HeartbeatKey>`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HeartbeatKey {
    /// The connector's `topic.prefix`.
    pub server_name: String,
}
