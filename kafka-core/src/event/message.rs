//! What a logical decoding message holds.

use std::fmt;

use serde::Deserialize;

use crate::column;
use crate::decode_error::DecodeError;

/// As it stands in the envelope.
#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) prefix: String,
    pub(super) content: MessageContent,
}

/// The content of a logical decoding message, as text that stands for bytes: by `binary.handling.mode`, which the event does
/// not tell.
///
/// ```
/// use kafka_core::{Change, DatabaseEvent};
///
/// // SELECT pg_logical_emit_message(true, 'audit', 'hello')
/// let event: DatabaseEvent<()> =
///     serde_json::from_str(r#"{"op":"m","ts_ms":1,"message":{"prefix":"audit","content":"aGVsbG8="}}"#)?;
/// let Change::Message { prefix, content } = event.change else { unreachable!() };
/// assert_eq!((prefix.as_str(), content.base64()?), ("audit", b"hello".to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct MessageContent(String);

impl MessageContent {
    /// Returns the bytes in the modes `bytes` (the default), `base64` and `base64-url-safe`.
    ///
    /// # Errors
    /// The text is not base64.
    pub fn base64(&self) -> Result<Vec<u8>, DecodeError> {
        column::base64(&self.0).ok_or(DecodeError::custom(
            "the message's content is not base64; with binary.handling.mode=hex call `hex`",
        ))
    }

    /// Returns the bytes in the mode `hex`.
    ///
    /// # Errors
    /// The text is not hexadecimal.
    pub fn hex(&self) -> Result<Vec<u8>, DecodeError> {
        column::hex(&self.0).ok_or(DecodeError::custom(
            "the message's content is not hexadecimal; in other modes call `base64`",
        ))
    }

    /// Returns the text as it was sent.
    pub fn encoded(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MessageContent {
    /// Never shows the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageContent")
    }
}
