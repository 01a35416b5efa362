//! What librdkafka tells a client besides records: errors with their reasons, and its log.

use std::mem::discriminant;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::errors::client_error;
use crate::error::ClientError;

/// The most errors kept until somebody asks.
const KEPT: usize = 32;

/// Keeps the errors that librdkafka reports, with the reasons that only this callback gets.
#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<Vec<ClientError>>);

impl Reports {
    pub(super) fn push(&self, error: ClientError) {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < KEPT {
            errors.push(error);
        }
    }

    /// Takes the last report of the same kind of error.
    pub(super) fn take_like(&self, error: &ClientError) -> Option<ClientError> {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_like = |other: &ClientError| discriminant(other) == discriminant(error);
        let last = errors.iter().rposition(is_like)?;
        Some(errors.remove(last))
    }

    /// Takes what was reported; the one that says most, if several were.
    pub(super) fn take(&self) -> Option<ClientError> {
        let errors = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let says_more = |error: &ClientError| match error {
            error if error.is_permanent() => 2,
            // "1/1 brokers are down" follows the reason, and adds nothing to it.
            ClientError::Unreachable(text) if text.ends_with("brokers are down") => 0,
            _ => 1,
        };
        errors.into_iter().rev().max_by_key(says_more)
    }
}

/// The context of a client that is not a member of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct PlainContext {
    /// Shared with whoever made the client: rdkafka's producer wraps the context and does not give it back.
    pub(super) reports: Arc<Reports>,
}

impl ClientContext for PlainContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        log_statistics(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reports.push(client_error(&error, Some(reason)));
    }
}

/// librdkafka's log lines, one level down from its own: what matters of them comes as an error, too.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{text}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::info!(target: "librdkafka", facility, "{text}");
        }
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::debug!(target: "librdkafka", facility, "{text}");
        }
        RDKafkaLogLevel::Debug => tracing::trace!(target: "librdkafka", facility, "{text}"),
    }
}

/// librdkafka's statistics (its STATISTICS.md), if `statistics_interval` asks for them: JSON, as it is.
pub(super) fn log_statistics(json: &[u8]) {
    tracing::info!(target: "librdkafka", statistics = %String::from_utf8_lossy(json));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_batch_is_not_passed_over_for_an_earlier_report() {
        let reports = Reports::default();
        let refused = ClientError::Authorization("commit".into());
        reports.push(refused.clone());
        reports.push(ClientError::Corrupt("partition 3".into()));

        let corrupt = reports.take_like(&ClientError::Corrupt("a code".into()));

        assert_eq!(corrupt, Some(ClientError::Corrupt("partition 3".into())));
        assert_eq!(reports.take(), Some(refused));
    }
}
