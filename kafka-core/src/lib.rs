//! The engine of `kafka-runtime`. Services use the facade crate, which re-exports what is public here.

mod client;
mod config;
mod decode_error;
mod engine;
mod error;
mod event;
mod extract;
mod failure;
mod handler;
mod manager;
mod observe;
mod outcome;
mod payload;
mod producer;
mod record;
mod registration;
mod runtime;
mod start;
mod table;
mod template;

#[cfg(feature = "embedded-broker")]
pub use client::embedded::EmbeddedBroker;
pub use config::{
    Acks, BootstrapServers, ClientOptions, Compression, Config, ConfigError, ConfigProblem,
    ConnectRetry, ConsumerOptions, Environment, GroupProtocol, IsolationLevel, MissingTopics,
    OutOfRange, PartitionAssignment, ProducerOptions, Sasl, SaslMechanism,
};
pub use decode_error::DecodeError;
pub use engine::monitor::{GroupState, GroupStatus, PartitionStatus};
pub use error::{ClientError, ConnectError, RunError};
pub use event::{Change, DatabaseEvent, OldRow, Operation, Source, Transaction};
pub use extract::{
    CancellationToken, FromContext, HandlerContext, Key, RecordMetadata, Requirements, State,
};
pub use failure::backoff::Retry;
pub use failure::dead_letter::PREFIX as DEAD_LETTER_HEADER_PREFIX;
pub use failure::policy::FailurePolicy;
pub use handler::{Handler, HandlerFn, Ordering, Place, Start};
pub use manager::{ConsumerState, KafkaConsumer, KafkaManager, ManagerError, SubscribeOptions};
pub use observe::{Event, Observer, TracingObserver};
pub use outcome::{
    BoxError, Classifier, Classify, ErrorClass, Failure, FailureKind, IntoOutcome, Outcome,
    PermanentError, RetryableError,
};
pub use payload::{FromRecord, Json, JsonOrText, Raw, Text};
pub use producer::{KafkaProducer, MessagePayload, ProduceError, ProducedRecord, SendError};
pub use record::{Headers, Offset, Record, RecordPlace, Timestamp, TopicPartition};
pub use registration::registered;
pub use runtime::{Control, Runtime, RuntimeBuilder, run, shutdown_signal};
pub use start::{Problem, StartError};
pub use table::{StartRow, StartTable};
pub use template::TemplateError;

/// What generated code calls. Not part of the public interface: anything here may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::engine::lane::{Lane, LaneDriver, LaneShared};
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
