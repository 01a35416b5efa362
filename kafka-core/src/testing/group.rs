//! One of several groups of a test.

use std::panic::Location;

use super::record::DeadLetter;
use super::runtime::TestRuntime;
use crate::engine::monitor::GroupStatus;

/// One group of a [`TestRuntime`]; made by [`TestRuntime::in_group`].
#[derive(Debug)]
pub struct TestGroup<'a> {
    test: &'a mut TestRuntime,
    index: usize,
}

impl<'a> TestGroup<'a> {
    pub(super) fn new(test: &'a mut TestRuntime, index: usize) -> Self {
        Self { test, index }
    }

    /// Returns what the group is doing right now.
    pub fn status(&self) -> GroupStatus {
        self.test.members[self.index].handle.status()
    }

    /// As [`TestRuntime::committed`], of this group.
    pub fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        let member = &self.test.members[self.index];
        self.test.committed_by(member, topic, partition)
    }

    /// As [`TestRuntime::dead_letters`], of this group.
    pub fn dead_letters(&self, topic: &str) -> Vec<DeadLetter> {
        let member = &self.test.members[self.index];
        self.test.dead_letters_of(member, topic)
    }

    /// As [`TestRuntime::revoke`], of this group.
    ///
    /// # Panics
    /// It does not have the partition.
    #[track_caller]
    pub fn revoke(self, topic: &str, partition: i32) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let owners = self.test.owners(Some(self.index), topic, partition);
        self.test.revoke_from(owners, topic, partition, caller)
    }

    /// As [`TestRuntime::assign`], to this group.
    ///
    /// # Panics
    /// It has the partition already.
    #[track_caller]
    pub fn assign(self, topic: &str, partition: i32) -> impl Future<Output = ()> {
        let caller = Location::caller();
        self.test
            .assign_to(vec![self.index], topic, partition, caller)
    }

    /// As [`TestRuntime::lose`], of this group.
    #[track_caller]
    pub fn lose(self) -> impl Future<Output = ()> {
        self.test.lose_of(vec![self.index], Location::caller())
    }
}
