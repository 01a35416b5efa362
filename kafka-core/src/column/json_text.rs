//! `json` and `jsonb`.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{DeserializeOwned, Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A `json` or `jsonb`: text that holds JSON, decoded to `T`.
///
/// ```
/// # use kafka_core::column::JsonText;
/// let settings: JsonText<serde_json::Value> = serde_json::from_str(r#""{\"theme\":\"dark\"}""#)?;
/// assert_eq!(settings["theme"], "dark");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct JsonText<T>(pub T);

impl<T> Deref for JsonText<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for JsonText<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<fn() -> T>);

        impl<T: DeserializeOwned> Visitor<'_> for Text<T> {
            type Value = JsonText<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text that holds JSON")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<JsonText<T>, E> {
                serde_json::from_str(text).map(JsonText).map_err(|error| {
                    if error.is_data() {
                        let found = Unexpected::Other("text with other JSON");
                        return E::invalid_value(
                            found,
                            &format!("JSON of `{}`", type_name::<T>()).as_str(),
                        );
                    }
                    super::unfit(text, "text that holds JSON")
                })
            }
        }

        deserializer.deserialize_str(Text(PhantomData))
    }
}

impl<T: Serialize> Serialize for JsonText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(&self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}
