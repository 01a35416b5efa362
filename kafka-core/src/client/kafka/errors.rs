//! librdkafka's errors in our words.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::error::ClientError;

/// Translates an error; `reason` is what librdkafka says beyond the code, if it says more.
pub(super) fn client_error(error: &KafkaError, reason: Option<&str>) -> ClientError {
    match error {
        KafkaError::MessageConsumptionFatal(code) => ClientError::Fatal(text_of(*code, reason)),
        other => match other.rdkafka_error_code() {
            Some(code) => from_code(code, reason),
            None => ClientError::Other(reason.map_or_else(|| other.to_string(), str::to_owned)),
        },
    }
}

/// Translates the code that a broker gave for one topic or partition.
pub(super) fn from_response(code: RDKafkaRespErr, what: &str) -> ClientError {
    from_code(code.into(), Some(what))
}

pub(super) fn from_code(code: RDKafkaErrorCode, reason: Option<&str>) -> ClientError {
    use RDKafkaErrorCode as Code;
    let text = text_of(code, reason);
    match code {
        Code::SSL => ClientError::Tls(text),
        // What librdkafka guesses when a port that speaks TLS hangs up on plain text.
        Code::BrokerTransportFailure if text.contains("connecting to a SSL listener") => {
            ClientError::Tls(text)
        }
        Code::Authentication | Code::SaslAuthenticationFailed => ClientError::Authentication(text),
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve => {
            ClientError::Unreachable(text)
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => ClientError::Authorization(text),
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            ClientError::UnknownTopic(text)
        }
        Code::OffsetOutOfRange | Code::AutoOffsetReset => ClientError::OffsetOutOfRange(text),
        Code::BadMessage | Code::InvalidMessage | Code::BadCompression => {
            ClientError::Corrupt(text)
        }
        // A codec that was left out of the build, as zstd is without its feature.
        Code::NotImplemented => ClientError::Corrupt(format!(
            "{text}: a batch is compressed in a way that this build cannot read; enable the feature `zstd` of kafka-runtime"
        )),
        Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::AssignmentLost => ClientError::NotAMember(text),
        Code::UnsupportedVersion | Code::UnsupportedFeature | Code::InvalidRequest => {
            ClientError::Unsupported(text)
        }
        Code::OperationTimedOut | Code::RequestTimedOut | Code::MessageTimedOut => {
            ClientError::TimedOut(text)
        }
        Code::Fatal => ClientError::Fatal(text),
        _ => ClientError::Other(text),
    }
}

fn text_of(code: RDKafkaErrorCode, reason: Option<&str>) -> String {
    match reason {
        Some(reason) if !reason.is_empty() => reason.to_owned(),
        _ => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_that_was_not_built_is_a_batch_that_cannot_be_read_and_the_feature_is_named() {
        let error = KafkaError::MessageConsumption(RDKafkaErrorCode::NotImplemented);

        let error = client_error(&error, None);

        assert!(matches!(&error, ClientError::Corrupt(text) if text.contains("feature `zstd`")));
    }

    #[test]
    fn plain_text_to_a_tls_port_is_a_tls_error() {
        let reason = "Disconnected: verify that security.protocol is correctly configured (connecting to a SSL listener?)";

        let error = from_code(RDKafkaErrorCode::BrokerTransportFailure, Some(reason));

        assert!(matches!(error, ClientError::Tls(_)));
    }
}
