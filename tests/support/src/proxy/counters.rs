//! Proof that a fault happened.

use std::collections::BTreeMap;
use std::iter::Sum;

use super::{ApiKey, Both, Direction};

/// What a proxy saw and did since it started; those of several can be summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections accepted from clients.
    pub connections: u64,
    /// Connections that were reset as soon as they came.
    pub refused: u64,
    /// Connections closed with RST by the proxy: at once, after a random time, or because a
    /// cut had swallowed some of their bytes.
    pub resets: u64,
    /// Connections closed at a request.
    pub drops: u64,
    /// Requests kept from the broker for a while.
    pub held: u64,
    /// Record batches spoilt.
    pub flips: u64,
    /// Bytes delivered.
    pub bytes: Both<u64>,
    /// Bytes delivered late.
    pub delayed: Both<u64>,
    /// Bytes lost in a cut.
    pub swallowed: Both<u64>,
    pub(super) requests: BTreeMap<ApiKey, u64>,
    pub(super) lost: BTreeMap<ApiKey, u64>,
}

impl Counters {
    /// Returns how many requests with this key came from clients, whatever became of them.
    pub fn requests(&self, key: ApiKey) -> u64 {
        self.requests.get(&key).copied().unwrap_or_default()
    }

    /// Returns how many answers to requests with this key a cut kept from clients.
    pub fn lost_answers(&self, key: ApiKey) -> u64 {
        self.lost.get(&key).copied().unwrap_or_default()
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum.connections += one.connections;
            sum.refused += one.refused;
            sum.resets += one.resets;
            sum.drops += one.drops;
            sum.held += one.held;
            sum.flips += one.flips;
            for direction in Direction::BOTH {
                *sum.bytes.of_mut(direction) += one.bytes.of(direction);
                *sum.delayed.of_mut(direction) += one.delayed.of(direction);
                *sum.swallowed.of_mut(direction) += one.swallowed.of(direction);
            }
            for (key, requests) in one.requests {
                *sum.requests.entry(key).or_default() += requests;
            }
            for (key, lost) in one.lost {
                *sum.lost.entry(key).or_default() += lost;
            }
            sum
        })
    }
}
