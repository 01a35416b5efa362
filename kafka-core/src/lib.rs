//! The engine of `kafka-runtime`. Services use the facade crate, which re-exports what is public here.

#![cfg_attr(
    all(not(feature = "rdkafka"), not(test)),
    expect(dead_code, reason = "without a client, nothing drives the engine")
)]

mod batch;
mod change_filter;
mod client;
mod clock;
pub mod column;
mod config;
mod connect;
#[cfg(feature = "costs")]
#[doc(hidden)]
pub mod costs;
mod decode_error;
mod engine;
mod error;
mod event;
mod extract;
mod failure;
mod field;
mod handler;
mod manager;
mod mutant;
mod observe;
mod outcome;
mod payload;
mod producer;
mod record;
pub mod redrive;
mod registration;
mod runtime;
#[cfg(feature = "simulation")]
mod simulation;
mod start;
mod table;
mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use batch::{Batch, BatchOutcome, BatchRecord, IntoBatchOutcome};
#[cfg(feature = "embedded-broker")]
pub use client::embedded::{BrokerRequest, EmbeddedBroker};
pub use config::{
    Acks, BootstrapServers, ClientOptions, Compression, Config, ConfigError, ConfigProblem,
    ConnectRetry, ConsumerOptions, Environment, GroupProtocol, IsolationLevel, MissingTopics,
    OutOfRange, PartitionAssignment, ProducerOptions, Sasl, SaslMechanism,
};
pub use decode_error::DecodeError;
pub use engine::monitor::{GroupState, GroupStatus, PartitionStatus};
pub use error::{ClientError, ConnectError, RunError};
pub use event::{
    Change, ChangeId, DataCollection, DatabaseEvent, FlatChange, FlatEvent, Heartbeat,
    HeartbeatKey, KeyChange, LazySource, MessageContent, OldRow, Operation, OutboxEvent, Scalar,
    SchemaChange, Signal, Snapshot, Source, TableChange, Transaction, TransactionMarker,
    TransactionStatus,
};
pub use extract::{
    CancellationToken, FromBatchContext, FromContext, HandlerContext, Key, RecordMetadata,
    Requirements, State,
};
pub use failure::backoff::Retry;
pub use failure::breaker::Breaker;
pub use failure::dead_letter::PREFIX as DEAD_LETTER_HEADER_PREFIX;
pub use failure::policy::FailurePolicy;
pub use handler::{BatchHandlerFn, Handler, HandlerFn, Ordering, Place, Start};
pub use manager::{ConsumerState, KafkaConsumer, KafkaManager, ManagerError, SubscribeOptions};
pub use observe::{Event, Observer, Suspicion, TracingObserver};
pub use outcome::{
    BoxError, Classifier, Classify, ErrorClass, Failure, FailureKind, HandlerError, IntoOutcome,
    Outcome, PermanentError, RetryableError, UnknownFailureKind,
};
pub use payload::{FromRecord, Json, JsonOrText, Raw, Text};
pub use producer::{KafkaProducer, MessagePayload, ProduceError, ProducedRecord, SendError};
pub use record::{Headers, Offset, Record, RecordPlace, Timestamp, TopicPartition};
pub use registration::registered;
pub use runtime::{Control, Runtime, RuntimeBuilder, run, shutdown_signal};
pub use start::{Problem, StartError};
pub use table::{StartRow, StartTable};
pub use template::TemplateError;

/// The simulation of this project's own tools. Not part of the public interface.
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod __simulation {
    pub use crate::mutant::{Mutant, activate};
    pub use crate::simulation::{Check, Counts, MUTANTS, Run, Violation, run};
}

/// What generated code calls. Not part of the public interface: anything here may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use core::option::Option::Some;
    pub use core::result::Result::{self, Err, Ok};
    pub use core::{future::Future, marker::Send, module_path};

    pub use inventory::submit;

    pub use crate::batch::BatchResult;
    pub use crate::engine::batch_lane::BatchLane;
    pub use crate::engine::lane::{Lane, LaneDriver};
    pub use crate::engine::lane_task::LaneShared;
    pub use crate::registration::{ClassifierRegistration, Registration};
    pub use crate::{
        Batch, Classifier, DecodeError, FailurePolicy, FromBatchContext, FromContext,
        HandlerContext, Operation, Ordering, Outcome, Record, Requirements, Start,
    };
    pub use crate::{outcome::probe as outcome, payload::probe as payload};

    /// What a registration makes for each assigned partition.
    pub type Driver = Box<dyn LaneDriver>;

    /// Makes the driver of a generated adapter.
    pub fn driver<F, Fut>(adapter: F) -> Driver
    where
        F: Fn(Record, HandlerContext) -> Fut + Send + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Box::new(Lane::new(adapter))
    }

    /// Makes the driver of a generated adapter of batches.
    pub fn batch_driver<D, T, F, Fut>(decode: D, adapter: F) -> Driver
    where
        D: Fn(&Record) -> Result<T, DecodeError> + Send + 'static,
        T: Send + 'static,
        F: Fn(Batch<T>, HandlerContext) -> Fut + Send + 'static,
        Fut: Future<Output = BatchResult> + Send + 'static,
    {
        Box::new(BatchLane::new(decode, adapter))
    }

    /// Decodes a payload with the function of the `decode` option.
    pub fn decode_with<'m, T>(
        record: &'m Record,
        decode: impl FnOnce(&'m Record) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        decode(record)
    }

    /// The outcome of a record whose argument could not be made.
    pub fn undecodable(error: DecodeError) -> Outcome {
        Outcome::Fail(error.into())
    }

    /// The outcome of a batch whose call lacks an argument.
    pub fn without_argument(error: DecodeError) -> BatchResult {
        Err(error.into())
    }

    /// Requires `Send` where the compiler's notes say which value is held across which await. What it returns is
    /// opaque, so that the adapter is not blamed a second time.
    pub fn handler_future_must_be_send<F: Future + Send>(
        future: F,
    ) -> impl Future<Output = F::Output> + Send {
        future
    }
}
