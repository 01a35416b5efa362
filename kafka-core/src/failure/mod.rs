//! What happens to records that fail.

pub(crate) mod backoff;
pub(crate) mod policy;
