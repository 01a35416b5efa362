//! The way of a record from the client to its commit.

pub(crate) mod assignment;
pub(crate) mod backpressure;
pub(crate) mod dispatch;
pub(crate) mod lane;
pub(crate) mod monitor;
pub(crate) mod partition;
pub(crate) mod poll;
pub(crate) mod route;
pub(crate) mod spawn;
#[cfg(test)]
mod tests;
pub(crate) mod watermark;
