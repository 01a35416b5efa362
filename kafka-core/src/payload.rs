//! What a handler's first argument can be: [`FromRecord`], and the payload types that come with it.
//!
//! JSON is the default: any type that implements serde's `Deserialize` is a payload, borrowed ones too. Types that
//! want the bytes, the text or a fallback implement [`FromRecord`] instead of `Deserialize`.

use std::any::type_name;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::decode_error::DecodeError;
use crate::field;
use crate::record::Record;

/// The first argument of a handler: what a record is decoded to.
///
/// Implemented for every `T: Deserialize` (the value is JSON; a null value is read as JSON `null`, so
/// `Option<T>` takes tombstones), and for [`Json`], [`Text`], [`Raw`], [`JsonOrText`] and [`Record`].
///
/// Implement it for a type of your own that does **not** implement `Deserialize`:
///
/// ```
/// use kafka_core::{DecodeError, FromRecord, Record};
///
/// /// Four bytes, big-endian.
/// struct Reading(u32);
///
/// impl FromRecord<'_> for Reading {
///     fn from_record(record: &Record) -> Result<Self, DecodeError> {
///         let bytes = record.value().ok_or(DecodeError::custom("a reading has a value"))?;
///         let bytes = bytes.try_into().map_err(|_| DecodeError::custom("a reading has 4 bytes"))?;
///         Ok(Self(u32::from_be_bytes(bytes)))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the payload of a topic handler",
    label = "cannot be decoded from a record",
    note = "for JSON: `#[derive(serde::Deserialize)]` on the type",
    note = "for anything else: `impl FromRecord<'_>` for it, or `decode = path::to::decoder` in the attribute",
    note = "for the bytes as they are: `Raw`; for text: `Text`"
)]
pub trait FromRecord<'m>: Sized {
    /// Decodes a record; called once for each attempt.
    ///
    /// # Errors
    /// Whatever makes this record undecodable: it goes to the failure policy, and is not retried.
    fn from_record(record: &'m Record) -> Result<Self, DecodeError>;
}

#[diagnostic::do_not_recommend]
impl<'m, T: Deserialize<'m>> FromRecord<'m> for T {
    fn from_record(record: &'m Record) -> Result<Self, DecodeError> {
        decode_json(record.value())
    }
}

/// Decodes JSON; a null value is read as JSON `null`.
///
/// UTF-8 is checked once up front: `from_str` then skips its own checks, 22 % cheaper than `from_slice`.
fn decode_json<'m, T: Deserialize<'m>>(value: Option<&'m [u8]>) -> Result<T, DecodeError> {
    let Some(bytes) = value else {
        return serde_json::from_str("null").map_err(|_| DecodeError::NullValue {
            wanted: type_name::<T>(),
        });
    };
    if bytes.is_empty() {
        return Err(DecodeError::Empty { part: "value" });
    }
    field::decode("value", utf8("value", bytes)?)
}

/// Checks bytes to be UTF-8.
pub(crate) fn utf8<'m>(part: &'static str, bytes: &'m [u8]) -> Result<&'m str, DecodeError> {
    simdutf8::compat::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8 {
        part,
        position: error.valid_up_to(),
    })
}

/// A JSON value, said in so many words: the same as taking `T` itself.
///
/// Useful where `T` implements [`FromRecord`] in another way, or to make the encoding visible in the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<'m, T: Deserialize<'m>> FromRecord<'m> for Json<T> {
    fn from_record(record: &'m Record) -> Result<Self, DecodeError> {
        decode_json(record.value()).map(Self)
    }
}

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A value that is UTF-8 text, or null.
///
/// ```
/// # use kafka_core::{FromRecord, Record, Text};
/// let record = Record::for_test("greetings", None, Some(b"hello"));
/// assert_eq!(Text::from_record(&record)?.as_str(), Some("hello"));
/// # Ok::<(), kafka_core::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Option<String>);

impl Text {
    /// A text; for calling a handler in a unit test.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Some(text.into()))
    }

    /// Returns the text; `None` if the value is null.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns the text as an owned string; `None` if the value is null.
    pub fn into_string(self) -> Option<String> {
        self.0
    }
}

impl FromRecord<'_> for Text {
    fn from_record(record: &Record) -> Result<Self, DecodeError> {
        let text = record
            .value()
            .map(|bytes| utf8("value", bytes))
            .transpose()?;
        Ok(Self(text.map(str::to_owned)))
    }
}

/// The bytes of the value as they are, or null. Never fails; copies nothing.
#[derive(Debug, Clone)]
pub struct Raw(Record);

impl Raw {
    /// Bytes; for calling a handler in a unit test.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Record::for_test("", None, Some(bytes)))
    }

    /// Returns the bytes; `None` if the value is null.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.0.value()
    }
}

impl FromRecord<'_> for Raw {
    fn from_record(record: &Record) -> Result<Self, DecodeError> {
        Ok(Self(record.clone()))
    }
}

impl FromRecord<'_> for Record {
    fn from_record(record: &Record) -> Result<Self, DecodeError> {
        Ok(record.clone())
    }
}

/// JSON if the value is JSON that fits `T`, else its text: what `@repo/kafka` does with every message.
///
/// A null value is `Json` if `T` takes `null`, else an error. Bytes that are not UTF-8 are an error.
///
/// ```
/// # use kafka_core::{FromRecord, JsonOrText, Record};
/// let record = Record::for_test("t", None, Some(b"not json"));
/// let value = JsonOrText::<u64>::from_record(&record)?;
/// assert_eq!(value, JsonOrText::Text("not json".into()));
/// # Ok::<(), kafka_core::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonOrText<T> {
    /// The value is JSON and fits `T`.
    Json(T),
    /// It does not; this is its text.
    Text(String),
}

impl<T: DeserializeOwned> FromRecord<'_> for JsonOrText<T> {
    fn from_record(record: &Record) -> Result<Self, DecodeError> {
        match (decode_json(record.value()), record.value()) {
            (Ok(value), _) => Ok(Self::Json(value)),
            (Err(error), None) => Err(error),
            (Err(_), Some(bytes)) => Ok(Self::Text(utf8("value", bytes)?.to_owned())),
        }
    }
}

/// Finds the type to blame for a payload that cannot be decoded, in generated code (autoref specialisation): of
/// `DatabaseEvent<User>` the compiler should speak of `User`, and only once.
pub mod probe {
    use std::marker::PhantomData;

    use serde::Deserialize;

    use super::{DecodeError, FromRecord, Json, JsonOrText, Record};
    use crate::event::{DatabaseEvent, FlatEvent, OutboxEvent};

    /// The row of a change event.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be the row of a change event",
        label = "cannot be decoded from JSON",
        note = "`#[derive(serde::Deserialize)]` on the type"
    )]
    pub trait Row<'m>: Deserialize<'m> {}

    #[diagnostic::do_not_recommend]
    impl<'m, T: Deserialize<'m>> Row<'m> for T {}

    /// What an `Option`, a `Json`, a `JsonOrText` or an `OutboxEvent` holds.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be decoded from JSON",
        label = "cannot be decoded from JSON",
        note = "`#[derive(serde::Deserialize)]` on the type",
        note = "`Raw` and `Text` can be absent themselves: take them without `Option`"
    )]
    pub trait Inner<'m>: Deserialize<'m> {}

    #[diagnostic::do_not_recommend]
    impl<'m, T: Deserialize<'m>> Inner<'m> for T {}

    /// A payload's type, without a value.
    #[derive(Debug)]
    pub struct Payload<P>(PhantomData<fn() -> P>);

    impl<P> Payload<P> {
        /// The type `P`.
        #[expect(clippy::new_without_default, reason = "only generated code makes one")]
        pub const fn new() -> Self {
            Self(PhantomData)
        }
    }

    /// Decodes `P`, whose bounds speak of a [`Row`].
    #[derive(Debug)]
    pub struct OfRow<P>(PhantomData<fn() -> P>);

    /// Decodes `P`, whose bounds speak of its [`Inner`] type.
    #[derive(Debug)]
    pub struct OfInner<P>(PhantomData<fn() -> P>);

    /// Decodes `P`, whose bounds speak of itself.
    #[derive(Debug)]
    pub struct OfPayload<P>(PhantomData<fn() -> P>);

    /// Chooses [`OfRow`].
    pub trait ByRow<P> {
        /// Chooses the decoder.
        fn __kafka_payload(&self) -> OfRow<P> {
            OfRow(PhantomData)
        }
    }

    /// Chooses [`OfInner`].
    pub trait ByInner<P> {
        /// Chooses the decoder.
        fn __kafka_payload(&self) -> OfInner<P> {
            OfInner(PhantomData)
        }
    }

    /// Chooses [`OfPayload`].
    pub trait ByPayload<P> {
        /// Chooses the decoder.
        fn __kafka_payload(&self) -> OfPayload<P> {
            OfPayload(PhantomData)
        }
    }

    impl<P> ByPayload<P> for Payload<P> {}

    impl<P> OfPayload<P> {
        /// See [`FromRecord::from_record`].
        pub fn decode<'m>(self, record: &'m Record) -> Result<P, DecodeError>
        where
            P: FromRecord<'m>,
        {
            P::from_record(record)
        }
    }

    macro_rules! blame {
        ($decoder:ident, $choice:ident for $receiver:ty, $payload:ty, T: $($bound:tt)*) => {
            impl<T> $choice<$payload> for $receiver {}

            impl<T> $decoder<$payload> {
                /// See [`FromRecord::from_record`].
                pub fn decode<'m>(self, record: &'m Record) -> Result<$payload, DecodeError>
                where
                    T: $($bound)*,
                {
                    <$payload>::from_record(record)
                }
            }
        };
    }

    // The more `&`, the sooner the compiler chooses it: generated code calls it on `&&&Payload`.
    type Event<T> = DatabaseEvent<T>;
    blame!(OfRow, ByRow for &&Payload<Event<T>>, Event<T>, T: Row<'m>);
    blame!(OfRow, ByRow for &&Payload<Option<Event<T>>>, Option<Event<T>>, T: Row<'m>);
    blame!(OfRow, ByRow for &&Payload<Json<Event<T>>>, Json<Event<T>>, T: Row<'m>);
    blame!(OfRow, ByRow for &&Payload<JsonOrText<Event<T>>>, JsonOrText<Event<T>>, T: for<'a> Row<'a>);
    type Flat<T> = FlatEvent<T>;
    blame!(OfRow, ByRow for &&Payload<Flat<T>>, Flat<T>, T: Row<'m>);
    blame!(OfRow, ByRow for &&Payload<Option<Flat<T>>>, Option<Flat<T>>, T: Row<'m>);
    blame!(OfInner, ByInner for &Payload<OutboxEvent<T>>, OutboxEvent<T>, T: for<'a> Inner<'a>);
    blame!(OfInner, ByInner for &Payload<Option<T>>, Option<T>, T: Inner<'m>);
    blame!(OfInner, ByInner for &Payload<Json<T>>, Json<T>, T: Inner<'m>);
    blame!(OfInner, ByInner for &Payload<JsonOrText<T>>, JsonOrText<T>, T: for<'a> Inner<'a>);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[derive(Debug, PartialEq, Deserialize)]
    struct User<'m> {
        id: i64,
        #[serde(borrow)]
        email: Cow<'m, str>,
    }

    fn record(value: Option<&[u8]>) -> Record {
        Record::for_test("t", None, value)
    }

    #[test]
    fn a_borrowed_payload_points_into_the_record() {
        let record = record(Some(br#"{"id":7,"email":"a@b.c"}"#));

        let user = User::from_record(&record).unwrap();

        assert!(matches!(user.email, Cow::Borrowed("a@b.c")));
    }

    #[test]
    fn null_takes_an_option() {
        assert_eq!(Option::<i64>::from_record(&record(None)), Ok(None));
        assert_eq!(
            i64::from_record(&record(None)),
            Err(DecodeError::NullValue { wanted: "i64" })
        );
    }

    #[test]
    fn bad_values_are_errors() {
        let deep = "[".repeat(100_000);

        assert_eq!(
            i64::from_record(&record(Some(b""))),
            Err(DecodeError::Empty { part: "value" })
        );
        assert_eq!(
            i64::from_record(&record(Some(b"12\xff"))),
            Err(DecodeError::NotUtf8 {
                part: "value",
                position: 2
            })
        );
        assert!(matches!(
            serde_json::Value::from_record(&record(Some(deep.as_bytes()))),
            Err(DecodeError::NotJson { .. })
        ));
    }

    #[test]
    fn json_or_text_falls_back_only_on_text() {
        type Either = JsonOrText<i64>;

        assert_eq!(
            Either::from_record(&record(Some(b"7"))),
            Ok(Either::Json(7))
        );
        assert_eq!(
            Either::from_record(&record(Some(b"seven"))),
            Ok(Either::Text("seven".into()))
        );
        assert!(Either::from_record(&record(Some(b"\xff"))).is_err());
        assert!(Either::from_record(&record(None)).is_err());
    }

    #[test]
    fn text_and_raw_carry_absence_themselves() {
        assert_eq!(Text::from_record(&record(None)).unwrap().as_str(), None);
        assert_eq!(Raw::from_record(&record(None)).unwrap().bytes(), None);
        assert_eq!(
            Raw::from_record(&record(Some(b"\xff"))).unwrap().bytes(),
            Some(&b"\xff"[..])
        );
    }
}
