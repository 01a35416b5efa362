//! What a logical decoding message holds.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::Deserialize;

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
        let is_url_safe = self.0.contains(['-', '_']);
        let alphabet = if is_url_safe { &URL_SAFE } else { &STANDARD };
        alphabet.decode(&self.0).map_err(|_| {
            DecodeError::custom(
                "the message's content is not base64; with binary.handling.mode=hex call `hex`",
            )
        })
    }

    /// Returns the bytes in the mode `hex`.
    ///
    /// # Errors
    /// The text is not hexadecimal.
    pub fn hex(&self) -> Result<Vec<u8>, DecodeError> {
        let digits = self.0.as_bytes();
        let pairs = digits.chunks(2).map(|pair| {
            let (high, low) = (*pair.first()?, *pair.get(1)?);
            let digit = |c: u8| {
                char::from(c)
                    .to_digit(16)
                    .and_then(|d| u8::try_from(d).ok())
            };
            Some(digit(high)? << 4 | digit(low)?)
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        bytes.ok_or_else(|| {
            DecodeError::custom(
                "the message's content is not hexadecimal; in other modes call `base64`",
            )
        })
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
