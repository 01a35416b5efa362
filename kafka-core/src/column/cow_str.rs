//! Text that borrows within other types.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// Text that points into the record, unless it has escapes: within [`Toast`](super::Toast) or `Option`, where serde's own `Cow`
/// always copies.
///
/// ```
/// # use kafka_core::column::{CowStr, Toast};
/// #[derive(serde::Deserialize)]
/// struct Article<'m> {
///     #[serde(borrow)]
///     title: std::borrow::Cow<'m, str>,     // borrows by itself
///     #[serde(borrow)]
///     body: Toast<Option<CowStr<'m>>>,
/// }
///
/// let article: Article<'_> = serde_json::from_str(r#"{"title":"a","body":"b"}"#)?;
/// assert!(article.body == Toast::Value(Some("b".into())));
/// # let _ = article.title;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CowStr<'m>(#[serde(borrow)] pub Cow<'m, str>);

impl CowStr<'_> {
    /// Returns the text as an owned string.
    pub fn into_owned(self) -> String {
        self.0.into_owned()
    }
}

impl Deref for CowStr<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'m> From<&'m str> for CowStr<'m> {
    fn from(text: &'m str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for CowStr<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl fmt::Debug for CowStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CowStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
