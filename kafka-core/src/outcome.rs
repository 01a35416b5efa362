//! What a handler call came to, and how an error decides its own fate.
//!
//! A handler returns `()`, [`Outcome`], or a `Result` of these with any error; [`IntoOutcome`] makes an [`Outcome`]
//! of it. An error is classified while its type is still known, then boxed.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::decode_error::DecodeError;
use crate::extract::HandlerContext;

/// An error of a handler, its type forgotten.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What a handler says of a record, for handlers that want to say more than `Ok` or `Err`.
///
/// ```
/// # use kafka_core::Outcome;
/// async fn on_payment(payment: String) -> Outcome {
///     if payment.is_empty() {
///         return Outcome::skip("nothing to pay");
///     }
///     Outcome::Ack
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Handled: the runtime may commit past the record.
    Ack,
    /// Not wanted: the runtime may commit past the record, which counts as skipped.
    Skip {
        /// Why, for the observer. Not a value of the record: it is logged.
        reason: Cow<'static, str>,
    },
    /// Failed; the failure's kind decides between another attempt and the failure policy.
    Fail(Failure),
}

impl Outcome {
    /// The record is skipped, for this reason.
    pub fn skip(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Skip {
            reason: reason.into(),
        }
    }

    /// The record failed, and another attempt may help.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self::Fail(Failure::new(FailureKind::Retryable, error))
    }

    /// The record failed for good: straight to the failure policy.
    pub fn fail(error: impl Into<BoxError>) -> Self {
        Self::Fail(Failure::new(FailureKind::Permanent, error))
    }
}

/// Why a record failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// An argument could not be decoded: never retried.
    Decode,
    /// The handler's error says that no attempt will help: never retried.
    Permanent,
    /// The handler's error says that another attempt may help.
    Retryable,
    /// The handler's error says nothing: treated as retryable.
    Unclassified,
    /// The handler panicked: treated as retryable.
    Panic,
    /// The attempt took longer than the handler's `timeout`: treated as retryable.
    Timeout,
}

impl FailureKind {
    /// True if the retry policy applies.
    pub fn is_retried(self) -> bool {
        !matches!(self, Self::Decode | Self::Permanent)
    }

    /// The name used in logs, metrics and dead letter headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Permanent => "permanent",
            Self::Retryable => "retryable",
            Self::Unclassified => "unclassified",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is none of [`FailureKind::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of decode, permanent, retryable, unclassified, panic, timeout")]
pub struct UnknownFailureKind;

impl std::str::FromStr for FailureKind {
    type Err = UnknownFailureKind;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let all = [
            Self::Decode,
            Self::Permanent,
            Self::Retryable,
            Self::Unclassified,
            Self::Panic,
            Self::Timeout,
        ];
        let found = all.into_iter().find(|kind| kind.as_str() == word);
        found.ok_or(UnknownFailureKind)
    }
}

/// The text of somebody else's error is cut here, in bytes, wherever it leaves the process or ends it.
const ERROR_TEXT: usize = 256;

/// A failed attempt: its kind and its error.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {error}")]
pub struct Failure {
    kind: FailureKind,
    #[source]
    error: BoxError,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, error: impl Into<BoxError>) -> Self {
        Self {
            kind,
            error: error.into(),
        }
    }

    /// Returns why the record failed.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns the start of what the error says. It is somebody else's code that says so: it may show a payload, or panic.
    pub(crate) fn text(&self) -> String {
        let text = catch_unwind(AssertUnwindSafe(|| self.error.to_string()));
        let mut text = text.unwrap_or_else(|_| "(the error's own text panicked)".to_owned());
        text.truncate(text.floor_char_boundary(ERROR_TEXT));
        text
    }

    /// Returns the error.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::new(FailureKind::Decode, error)
    }
}

/// What an error says about another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Another attempt may help: a timeout of a database, a lock, a 503.
    Retryable,
    /// No attempt will help: a row that violates a constraint, a 400.
    Permanent,
}

impl From<ErrorClass> for FailureKind {
    fn from(class: ErrorClass) -> Self {
        match class {
            ErrorClass::Retryable => Self::Retryable,
            ErrorClass::Permanent => Self::Permanent,
        }
    }
}

/// An error type that knows whether another attempt may help.
///
/// A handler that returns `Result<(), E>` with `E: Classify` needs nothing else. To be found inside an
/// `anyhow::Error`, register the type: `#[classify]` on the impl, or `Runtime::builder().classify::<E>()`.
///
/// ```
/// use kafka_core::{Classify, ErrorClass};
///
/// #[derive(Debug)]
/// enum PaymentError { Declined, Unreachable }
///
/// impl Classify for PaymentError {
///     fn classify(&self) -> ErrorClass {
///         match self {
///             Self::Declined => ErrorClass::Permanent,
///             Self::Unreachable => ErrorClass::Retryable,
///         }
///     }
/// }
/// ```
pub trait Classify {
    /// Says whether another attempt may help.
    fn classify(&self) -> ErrorClass;
}

macro_rules! marker_error {
    ($name:ident, $what:literal) => {
        #[doc = concat!("Marks an error as ", $what, ", anywhere in a chain of errors, also in an `anyhow::Error`.")]
        ///
        /// Its text and its source are those of the error it wraps.
        #[derive(Debug)]
        pub struct $name(BoxError);

        impl $name {
            /// Wraps an error, or a text.
            pub fn new(error: impl Into<BoxError>) -> Self {
                Self(error.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.0.source()
            }
        }
    };
}

marker_error!(RetryableError, "worth another attempt");
marker_error!(PermanentError, "not worth another attempt");

/// How one error type is recognised inside an error whose type is forgotten.
#[derive(Clone, Copy)]
pub struct Classifier {
    in_chain: fn(&(dyn Error + 'static)) -> Option<ErrorClass>,
    in_anyhow: fn(&anyhow::Error) -> Option<ErrorClass>,
}

impl Classifier {
    /// Recognises `E`.
    pub const fn of<E: Classify + fmt::Display + fmt::Debug + Send + Sync + Error + 'static>()
    -> Self {
        Self {
            in_chain: |error| error.downcast_ref::<E>().map(E::classify),
            in_anyhow: |error| error.downcast_ref::<E>().map(E::classify),
        }
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Classifier")
    }
}

const MARKERS: [Classifier; 3] = [
    Classifier::of::<RetryableError>(),
    Classifier::of::<PermanentError>(),
    Classifier::of::<DecodeError>(),
];

/// A handler that decodes by hand, and passes on that it cannot.
impl Classify for DecodeError {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

impl Classify for RetryableError {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Retryable
    }
}

impl Classify for PermanentError {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// Every error type that is recognised inside other errors: ours, then the registered ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Classifiers(Vec<Classifier>);

impl Classifiers {
    pub(crate) fn add(&mut self, classifier: Classifier) {
        self.0.push(classifier);
    }

    /// Classifies a handler's error; the outermost error that says something wins.
    fn class_of<E: 'static>(&self, error: &E) -> Option<ErrorClass> {
        // anyhow hides its outermost error from a plain chain, and a context's type from a downcast of the chain.
        let error = (error as &dyn Any).downcast_ref::<anyhow::Error>()?;
        self.all()
            .find_map(|c| (c.in_anyhow)(error))
            .or_else(|| error.chain().find_map(|e| self.of_link(e)))
    }

    fn of_chain(&self, error: &(dyn Error + 'static)) -> Option<ErrorClass> {
        std::iter::successors(Some(error), |&e| e.source()).find_map(|e| self.of_link(e))
    }

    fn of_link(&self, error: &(dyn Error + 'static)) -> Option<ErrorClass> {
        self.all().find_map(|c| (c.in_chain)(error))
    }

    fn all(&self) -> impl Iterator<Item = &Classifier> {
        MARKERS.iter().chain(&self.0)
    }
}

/// The error of a handler: whatever converts into a boxed error. Never implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a topic handler",
    label = "does not convert into `Box<dyn Error + Send + Sync>`",
    note = "`anyhow::Error` can, or a type of your own that is `std::error::Error + Send + Sync + 'static` (derive it \
            with `thiserror`)",
    note = "`Box<dyn Error>` is not `Send`: write `Box<dyn Error + Send + Sync>`"
)]
pub trait HandlerError: Into<BoxError> + 'static {}

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError> + 'static> HandlerError for E {}

/// What a handler may return.
///
/// `()`, [`Outcome`], `Result<(), E>` and `Result<Outcome, E>` for any error that converts into a boxed error:
/// `anyhow::Error`, `Box<dyn Error + Send + Sync>`, a type of your own, even `String`.
#[diagnostic::on_unimplemented(
    message = "a topic handler cannot return `{Self}`",
    label = "not an outcome",
    note = "return `()`, `Outcome`, `Result<(), E>` or `Result<Outcome, E>`, where `E` is an error that is \
            `Send + Sync` (`anyhow::Error`, for one)"
)]
pub trait IntoOutcome {
    /// Makes an outcome of it; `cx` knows the error types that were registered.
    fn into_outcome(self, cx: &HandlerContext) -> Outcome;
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Ack
    }
}

impl IntoOutcome for () {
    fn into_outcome(self, _: &HandlerContext) -> Outcome {
        Outcome::Ack
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self, _: &HandlerContext) -> Outcome {
        self
    }
}

impl<T: IntoOutcome, E: HandlerError> IntoOutcome for Result<T, E> {
    fn into_outcome(self, cx: &HandlerContext) -> Outcome {
        match self {
            Ok(value) => value.into_outcome(cx),
            Err(error) => Outcome::Fail(fail(error, None, cx.classifiers())),
        }
    }
}

/// Makes a failure of an error; `known` is what its own type said.
pub(crate) fn fail<E: Into<BoxError> + 'static>(
    error: E,
    known: Option<ErrorClass>,
    classifiers: &Classifiers,
) -> Failure {
    let class = known.or_else(|| classifiers.class_of(&error));
    let error: BoxError = error.into();
    let class = class.or_else(|| classifiers.of_chain(&*error));
    Failure::new(class.map_or(FailureKind::Unclassified, Into::into), error)
}

/// Finds `E: Classify` in generated code, where the handler's type is known (autoref specialisation, as in anyhow's
/// `kind`): the choice has no bound, so that a return type that is no outcome is told by [`IntoOutcome`] alone.
pub mod probe {
    use super::{Classify, HandlerContext, HandlerError, IntoOutcome, Outcome, fail};
    use crate::batch::{BatchResult, IntoBatchOutcome};

    /// The handler's error classifies itself.
    #[derive(Debug)]
    pub struct Typed;

    /// Anything else that a handler may return.
    #[derive(Debug)]
    pub struct Untyped;

    /// Chooses [`Typed`].
    pub trait ByType {
        /// Chooses what makes the outcome.
        fn __kafka_outcome(&self) -> Typed {
            Typed
        }
    }

    impl<T, E: Classify> ByType for Result<T, E> {}

    /// Chooses [`Untyped`].
    pub trait ByChain {
        /// Chooses what makes the outcome.
        fn __kafka_outcome(&self) -> Untyped {
            Untyped
        }
    }

    impl<R> ByChain for &R {}

    impl Typed {
        /// See [`IntoOutcome::into_outcome`].
        pub fn of<T, E>(self, returned: Result<T, E>, cx: &HandlerContext) -> Outcome
        where
            T: IntoOutcome,
            E: Classify + HandlerError,
        {
            match returned {
                Ok(value) => value.into_outcome(cx),
                Err(error) => {
                    let class = error.classify();
                    Outcome::Fail(fail(error, Some(class), cx.classifiers()))
                }
            }
        }

        /// See [`IntoBatchOutcome::into_batch_outcome`].
        pub fn of_batch<T, E>(self, returned: Result<T, E>, cx: &HandlerContext) -> BatchResult
        where
            T: IntoBatchOutcome,
            E: Classify + HandlerError,
        {
            returned
                .map_err(|error| {
                    let class = error.classify();
                    fail(error, Some(class), cx.classifiers())
                })?
                .into_batch_outcome(cx)
        }
    }

    impl Untyped {
        /// See [`IntoOutcome::into_outcome`].
        pub fn of<R: IntoOutcome>(self, returned: R, cx: &HandlerContext) -> Outcome {
            returned.into_outcome(cx)
        }

        /// See [`IntoBatchOutcome::into_batch_outcome`].
        pub fn of_batch<R: IntoBatchOutcome>(
            self,
            returned: R,
            cx: &HandlerContext,
        ) -> BatchResult {
            returned.into_batch_outcome(cx)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::probe::{ByChain as _, ByType as _};
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("declined")]
    struct Declined;

    impl Classify for Declined {
        fn classify(&self) -> ErrorClass {
            ErrorClass::Permanent
        }
    }

    fn kind(outcome: Outcome) -> FailureKind {
        match outcome {
            Outcome::Fail(failure) => failure.kind(),
            other => unreachable!("{other:?}"),
        }
    }

    fn outcome<R: IntoOutcome>(returned: R) -> Outcome {
        returned.into_outcome(&HandlerContext::for_test())
    }

    #[test]
    fn markers_are_found_wherever_they_are() {
        let top: Result<(), anyhow::Error> = Err(RetryableError::new("busy").into());
        let deep: Result<(), anyhow::Error> =
            Err(anyhow::Error::from(PermanentError::new("no")).context("while"));
        let context: Result<(), anyhow::Error> =
            Err(anyhow::anyhow!("low").context(PermanentError::new("no")));
        let plain: Result<(), PermanentError> = Err(PermanentError::new("no"));
        let boxed: Result<(), BoxError> = Err(Box::new(RetryableError::new("busy")));

        assert_eq!(kind(outcome(top)), FailureKind::Retryable);
        assert_eq!(kind(outcome(deep)), FailureKind::Permanent);
        assert_eq!(kind(outcome(context)), FailureKind::Permanent);
        assert_eq!(kind(outcome(plain)), FailureKind::Permanent);
        assert_eq!(kind(outcome(boxed)), FailureKind::Retryable);
    }

    #[test]
    fn an_error_that_says_nothing_is_unclassified() {
        assert_eq!(
            kind(outcome::<Result<(), _>>(Err("text"))),
            FailureKind::Unclassified
        );
        assert_eq!(
            kind(outcome::<anyhow::Result<()>>(Err(anyhow::anyhow!("x")))),
            FailureKind::Unclassified
        );
    }

    /// As generated code has it.
    macro_rules! probed {
        ($returned:expr, $cx:expr) => {
            (&$returned).__kafka_outcome().of($returned, $cx)
        };
    }

    #[test]
    fn a_type_that_classifies_itself_is_probed() {
        let cx = HandlerContext::for_test();
        let typed: Result<(), Declined> = Err(Declined);
        let anyhow: anyhow::Result<()> = Err(anyhow::anyhow!("x"));

        assert_eq!(kind(probed!(typed, &cx)), FailureKind::Permanent);
        assert_eq!(kind(probed!(anyhow, &cx)), FailureKind::Unclassified);
        assert!(matches!(probed!((), &cx), Outcome::Ack));
    }

    #[test]
    fn a_registered_type_is_found_inside_anyhow() {
        let mut classifiers = Classifiers::default();
        classifiers.add(Classifier::of::<Declined>());

        let top = fail(anyhow::Error::from(Declined), None, &classifiers);
        let context = fail(anyhow::anyhow!("low").context(Declined), None, &classifiers);

        assert_eq!(top.kind(), FailureKind::Permanent);
        assert_eq!(context.kind(), FailureKind::Permanent);
    }
}
