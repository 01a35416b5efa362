//! The static fact that a handler exists: what `#[topic_handler]` leaves for the linker to collect.
//!
//! The only file that names `inventory`. A registration is a constant; all behaviour is in the function pointers it
//! holds.

use std::panic::Location;
use std::time::Duration;

use crate::batch::BatchOptions;
use crate::engine::lane::LaneDriver;
use crate::event::Operation;
use crate::extract::Requirements;
use crate::failure::backoff::Retry;
use crate::failure::breaker::Breaker;
use crate::failure::policy::FailurePolicy;
use crate::handler::{Handler, HandlerOptions, Ordering, Place, Start};
use crate::outcome::Classifier;

/// A handler as the attribute wrote it down.
#[derive(Debug, Clone, Copy)]
pub struct Registration {
    name: &'static str,
    module: &'static str,
    place: Place,
    driver: fn() -> Box<dyn LaneDriver>,
    requires: fn(&mut Requirements),
    topics: &'static [&'static str],
    pattern: Option<&'static str>,
    group: Option<&'static str>,
    ordering: Ordering,
    concurrency: usize,
    timeout: Option<Duration>,
    retry: Retry,
    on_failure: FailurePolicy,
    dead_letter: Option<&'static str>,
    enabled_if: Option<&'static str>,
    start: Start,
    max_payload: Option<usize>,
    batch: Option<BatchOptions>,
    retry_topics_ms: &'static [u64],
    breaker: Breaker,
    operations: Option<&'static [Operation]>,
    changed: Option<&'static [&'static str]>,
}

inventory::collect!(Registration);

impl Registration {
    /// A handler with the default options and no topic yet; its place is the caller's.
    #[track_caller]
    pub const fn new(
        name: &'static str,
        module: &'static str,
        driver: fn() -> Box<dyn LaneDriver>,
        requires: fn(&mut Requirements),
    ) -> Self {
        let place = Location::caller();
        Self {
            name,
            module,
            place: Place {
                file: place.file(),
                line: place.line(),
            },
            driver,
            requires,
            topics: &[],
            pattern: None,
            group: None,
            ordering: Ordering::Key,
            concurrency: HandlerOptions::CONCURRENCY,
            timeout: None,
            retry: Retry::DEFAULT,
            on_failure: FailurePolicy::DeadLetter,
            dead_letter: None,
            enabled_if: None,
            start: Start::Earliest,
            max_payload: None,
            batch: None,
            retry_topics_ms: &[],
            breaker: Breaker::DEFAULT,
            operations: None,
            changed: None,
        }
    }

    /// Sets the topics.
    #[must_use]
    pub const fn topics(mut self, topics: &'static [&'static str]) -> Self {
        self.topics = topics;
        self
    }

    /// Sets the pattern.
    #[must_use]
    pub const fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// Sets the group.
    #[must_use]
    pub const fn group(mut self, group: &'static str) -> Self {
        self.group = Some(group);
        self
    }

    /// Sets the ordering.
    #[must_use]
    pub const fn ordering(mut self, ordering: Ordering) -> Self {
        self.ordering = ordering;
        self
    }

    /// Sets the concurrency.
    #[must_use]
    pub const fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// Sets the timeout, in milliseconds.
    #[must_use]
    pub const fn timeout_ms(mut self, ms: u64) -> Self {
        self.timeout = Some(Duration::from_millis(ms));
        self
    }

    /// Sets the attempts of the retry.
    #[must_use]
    pub const fn retry_attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts;
        self
    }

    /// Sets the first wait of the retry, in milliseconds.
    #[must_use]
    pub const fn retry_initial_ms(mut self, ms: u64) -> Self {
        self.retry.initial = Duration::from_millis(ms);
        self
    }

    /// Sets the longest wait of the retry, in milliseconds.
    #[must_use]
    pub const fn retry_max_ms(mut self, ms: u64) -> Self {
        self.retry.max = Duration::from_millis(ms);
        self
    }

    /// Sets the failure policy.
    #[must_use]
    pub const fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.on_failure = policy;
        self
    }

    /// Sets the dead letter topic.
    #[must_use]
    pub const fn dead_letter(mut self, topic: &'static str) -> Self {
        self.dead_letter = Some(topic);
        self
    }

    /// Sets the environment variable that enables the handler.
    #[must_use]
    pub const fn enabled_if(mut self, variable: &'static str) -> Self {
        self.enabled_if = Some(variable);
        self
    }

    /// Sets where a group without a committed offset begins.
    #[must_use]
    pub const fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets the largest value, in bytes.
    #[must_use]
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = Some(bytes);
        self
    }

    /// Says that the driver takes batches.
    #[must_use]
    pub const fn batch(mut self) -> Self {
        self.batch = Some(BatchOptions::DEFAULT);
        self
    }

    /// Sets the most records of a batch.
    #[must_use]
    pub const fn batch_max(mut self, records: usize) -> Self {
        if let Some(batch) = &mut self.batch {
            batch.max = records;
        }
        self
    }

    /// Sets how long an incomplete batch waits for more records, in milliseconds.
    #[must_use]
    pub const fn batch_linger_ms(mut self, ms: u64) -> Self {
        if let Some(batch) = &mut self.batch {
            batch.linger = Duration::from_millis(ms);
        }
        self
    }

    /// Sets the waits of the retry topics, in milliseconds.
    #[must_use]
    pub const fn retry_topics_ms(mut self, waits: &'static [u64]) -> Self {
        self.retry_topics_ms = waits;
        self
    }

    /// Switches the breaker off.
    #[must_use]
    pub const fn breaker_off(mut self) -> Self {
        self.breaker = Breaker::OFF;
        self
    }

    /// Sets the share of failures that opens the breaker.
    #[must_use]
    pub const fn breaker_ratio(mut self, ratio: f64) -> Self {
        self.breaker.ratio = ratio;
        self
    }

    /// Sets over how many records that share is taken, at least.
    #[must_use]
    pub const fn breaker_records(mut self, records: u32) -> Self {
        self.breaker.records = records;
        self
    }

    /// Sets the operations.
    #[must_use]
    pub const fn operations(mut self, operations: &'static [Operation]) -> Self {
        self.operations = Some(operations);
        self
    }

    /// Sets the columns, one of which an update has to have changed.
    #[must_use]
    pub const fn changed(mut self, columns: &'static [&'static str]) -> Self {
        self.changed = Some(columns);
        self
    }

    fn to_handler(self) -> Handler {
        let options = HandlerOptions {
            name: self.name.to_owned(),
            topics: self.topics.iter().map(|&topic| topic.to_owned()).collect(),
            pattern: self.pattern.map(str::to_owned),
            group: self.group.map(str::to_owned),
            ordering: self.ordering,
            concurrency: self.concurrency,
            timeout: self.timeout,
            retry: self.retry,
            on_failure: self.on_failure,
            dead_letter: self.dead_letter.map(str::to_owned),
            enabled_if: self.enabled_if.map(str::to_owned),
            start: self.start,
            max_payload: self.max_payload,
            batch: self.batch,
            breaker: self.breaker,
            retry_topics: self
                .retry_topics_ms
                .iter()
                .map(|ms| Duration::from_millis(*ms))
                .collect(),
            operations: self.operations.map(<[_]>::to_vec),
            changed: self
                .changed
                .map(|columns| columns.iter().map(|&column| column.to_owned()).collect()),
        };
        Handler::from_parts(options, self.place, self.requires, self.driver)
    }
}

/// Returns the handlers that the linker collected, sorted by topic, then module and name.
///
/// A library crate that only defines handlers is linked only if the binary names it: `use my_handlers as _;`.
///
/// ```
/// for handler in kafka_core::registered() {
///     println!("{} at {}", handler.name(), handler.place());
/// }
/// ```
pub fn registered() -> Vec<Handler> {
    let mut registrations: Vec<&Registration> = inventory::iter::<Registration>().collect();
    registrations.sort_by_key(|r| (r.topics, r.pattern, r.module, r.name));
    registrations.iter().map(|r| r.to_handler()).collect()
}

/// An error type that `#[classify]` registered.
#[derive(Debug)]
pub struct ClassifierRegistration(pub Classifier);

inventory::collect!(ClassifierRegistration);

pub(crate) fn registered_classifiers() -> impl Iterator<Item = Classifier> {
    inventory::iter::<ClassifierRegistration>().map(|registration| registration.0)
}
