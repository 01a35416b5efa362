//! The way of a record from the client to its commit.

pub(crate) mod assignment;
mod attempt;
pub(crate) mod backpressure;
pub(crate) mod batch_lane;
pub(crate) mod dispatch;
pub(crate) mod lane;
pub(crate) mod lane_task;
pub(crate) mod monitor;
pub(crate) mod partition;
mod permit;
pub(crate) mod poll;
mod rebalance;
pub(crate) mod route;
mod slots;
pub(crate) mod spawn;
mod stop;
#[cfg(test)]
mod tests;
pub(crate) mod watermark;
