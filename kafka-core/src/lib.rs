//! The engine of `kafka-runtime`. Services use the facade crate, which re-exports what is public here.

mod config;
mod decode_error;
mod engine;
mod event;
mod extract;
mod failure;
mod handler;
mod outcome;
mod payload;
mod producer;
mod record;
mod registration;

pub use config::{
    Acks, BootstrapServers, ClientOptions, Compression, Config, ConfigError, ConfigProblem,
    ConnectRetry, ConsumerOptions, Environment, GroupProtocol, IsolationLevel, MissingTopics,
    OutOfRange, PartitionAssignment, ProducerOptions, Sasl, SaslMechanism,
};
pub use decode_error::DecodeError;
pub use event::{Change, DatabaseEvent, OldRow, Operation, Source, Transaction};
pub use extract::{
    CancellationToken, FromContext, HandlerContext, Key, RecordMetadata, Requirements, State,
};
pub use failure::backoff::Retry;
pub use failure::policy::FailurePolicy;
pub use handler::{Handler, HandlerFn, Ordering, Place, Start};
pub use outcome::{
    BoxError, Classifier, Classify, ErrorClass, Failure, FailureKind, IntoOutcome, Outcome,
    PermanentError, RetryableError,
};
pub use payload::{FromRecord, Json, JsonOrText, Raw, Text};
pub use producer::KafkaProducer;
pub use record::{Headers, Offset, Record, Timestamp, TopicPartition};
pub use registration::registered;

/// What generated code calls. Not part of the public interface: anything here may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::engine::lane::{Lane, LaneDriver};
    pub use crate::outcome::probe;
    pub use crate::registration::{ClassifierRegistration, Registration};
    pub use inventory::submit;

    /// Makes the driver of a generated adapter.
    pub fn driver<F, Fut>(adapter: F) -> Box<dyn LaneDriver>
    where
        F: Fn(crate::Record, crate::HandlerContext) -> Fut + Send + 'static,
        Fut: Future<Output = crate::Outcome> + Send + 'static,
    {
        Box::new(Lane::new(adapter))
    }

    /// Says of which type a row is missing `Deserialize`, at the row.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be the row of a `DatabaseEvent`",
        label = "cannot be decoded from JSON",
        note = "`#[derive(serde::Deserialize)]` on the type"
    )]
    pub trait Row<'m> {}

    #[diagnostic::do_not_recommend]
    impl<'m, T: serde::Deserialize<'m>> Row<'m> for T {}
}
