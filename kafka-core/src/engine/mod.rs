//! The way of a record from the client to its commit.

pub(crate) mod assignment;
mod attempt;
pub(crate) mod backpressure;
pub(crate) mod batch_lane;
#[cfg(any(test, feature = "testing"))]
mod by_hand;
mod corrupt;
pub(crate) mod dispatch;
mod fence;
pub(crate) mod lane;
pub(crate) mod lane_task;
pub(crate) mod monitor;
mod out_of_range;
pub(crate) mod partition;
mod permit;
pub(crate) mod poll;
pub(crate) mod pulse;
mod questions;
mod rebalance;
mod retries;
mod retry_damage;
mod retry_partitions;
mod retry_reader;
pub(crate) mod route;
mod slots;
pub(crate) mod spawn;
mod stop;
mod takeover;
#[cfg(test)]
mod tests;
mod watchdog;
pub(crate) mod watermark;
