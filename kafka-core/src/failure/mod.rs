//! What happens to records that fail.

pub(crate) mod backoff;
pub(crate) mod breaker;
pub(crate) mod dead_letter;
pub(crate) mod policy;
pub(crate) mod retry_topic;
