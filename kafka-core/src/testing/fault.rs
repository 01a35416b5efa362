//! What a test does to its runtime: rebalances, and brokers that refuse or are away.

use std::panic::Location;

use super::by_hand::misuse;
use super::member::Member;
use super::runtime::{Caller, TestRuntime};
use crate::client::Polled;
use crate::error::ClientError;
use crate::producer::ProduceError;
use crate::record::{Offset, TopicPartition};

/// Rebalances. The groups rebalance one partition at a time (cooperatively), whatever the configuration says.
impl TestRuntime {
    /// The group wants a partition back, as when another member joins; then [`idle`](Self::idle).
    ///
    /// It is given back when its running calls have ended. Those that wait for time hold it up: let
    /// [`advance`](Self::advance) pass the rest of `drain_timeout`, and they are dropped.
    ///
    /// # Panics
    /// No group has the partition.
    #[track_caller]
    pub fn revoke(&mut self, topic: &str, partition: i32) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let owners = self.owners(None, topic, partition);
        self.revoke_from(owners, topic, partition, caller)
    }

    /// The group assigns a partition that was revoked or lost; then [`idle`](Self::idle). It is read from the committed
    /// offset on.
    ///
    /// # Panics
    /// Every group that reads it has it already, or there is no such partition.
    #[track_caller]
    pub fn assign(&mut self, topic: &str, partition: i32) -> impl Future<Output = ()> {
        let caller = Location::caller();
        self.readers(topic);
        let at = TopicPartition::new(topic, partition);
        let all = 0..self.members.len();
        let reads = |n: &usize| self.members[*n].reads(topic) && !self.members[*n].has(&at);
        let readers = all.filter(reads).collect();
        self.assign_to(readers, topic, partition, caller)
    }

    /// Every group says that this member is none any more, as after a session timeout: all partitions are somebody
    /// else's, nothing more of them is committed; then [`idle`](Self::idle). [`assign`](Self::assign) gives them back.
    #[track_caller]
    pub fn lose(&mut self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        self.lose_of((0..self.members.len()).collect(), caller)
    }

    /// Returns the groups that have a partition: at least one.
    #[track_caller]
    pub(super) fn owners(&self, of: Option<usize>, topic: &str, partition: i32) -> Vec<usize> {
        let at = TopicPartition::new(topic, partition);
        let all = (0..self.members.len()).filter(|n| of.is_none_or(|only| only == *n));
        let owners: Vec<_> = all.filter(|n| self.members[*n].has(&at)).collect();
        if owners.is_empty() {
            misuse(&format!("no group has {at}"));
        }
        owners
    }

    pub(super) async fn revoke_from(
        &mut self,
        members: Vec<usize>,
        topic: &str,
        partition: i32,
        caller: Caller,
    ) {
        let at = TopicPartition::new(topic, partition);
        for n in members {
            self.members[n].revoke(&at);
        }
        self.settle("revoke()", caller).await;
    }

    #[track_caller]
    pub(super) fn assign_to(
        &mut self,
        members: Vec<usize>,
        topic: &str,
        partition: i32,
        caller: Caller,
    ) -> impl Future<Output = ()> {
        let at = TopicPartition::new(topic, partition);
        if !self.brokers.memory().partitions_of(topic).contains(&at) {
            misuse(&format!(
                "there is no {at}; test.create_topic({topic:?}, {}) makes it",
                partition + 1
            ));
        }
        if members.is_empty() || members.iter().any(|n| self.members[*n].has(&at)) {
            misuse(&format!(
                "{at} is assigned already. If it was revoked, its calls still run: let them end, or pass \
                 drain_timeout with test.advance(..)"
            ));
        }
        for n in members {
            let view = self.members[n].view();
            view.tell(Polled::Assigned(vec![at.clone()]));
        }
        async move { self.settle("assign()", caller).await }
    }

    pub(super) async fn lose_of(&mut self, members: Vec<usize>, caller: Caller) {
        for n in members {
            // What is lost is all that it has when it hears of it.
            self.members[n].view().tell(Polled::Lost(Vec::new()));
        }
        self.settle("lose()", caller).await;
    }
}

/// Faults.
impl TestRuntime {
    /// Makes every write to a topic fail with this, of handlers and of dead letters; a dead letter is then tried again.
    pub fn refuse_writes(&mut self, topic: &str, error: ProduceError) {
        self.brokers.memory().refuse_writes(topic, Some(error));
    }

    /// Lets writes to a topic succeed again.
    pub fn accept_writes(&mut self, topic: &str) {
        self.brokers.memory().refuse_writes(topic, None);
    }

    /// Deletes the records of a partition below an offset, as retention does. A group whose committed offset is below it
    /// finds itself out of range (`on_out_of_range`) with its next assignment or restart.
    pub fn delete_records(&mut self, topic: &str, partition: i32, before: i64) {
        let at = TopicPartition::new(topic, partition);
        self.brokers.memory().truncate(&at, Offset(before));
    }

    /// Damages the batch of a record where it lies: it cannot be read, and after a few tries its partition is put aside
    /// ([`Event::Quarantined`](crate::Event::Quarantined)) while others go on.
    pub fn damage_record(&mut self, topic: &str, partition: i32, offset: i64) {
        let at = TopicPartition::new(topic, partition);
        self.brokers.memory().damage(&at, Offset(offset), u32::MAX);
    }

    /// Mends it; the partition is tried again after a minute of the test's clock.
    pub fn repair_record(&mut self, topic: &str, partition: i32, offset: i64) {
        let at = TopicPartition::new(topic, partition);
        self.brokers.memory().damage(&at, Offset(offset), 0);
    }

    /// Makes every commit fail with this. After [`ClientError::NotAMember`] the runtime doubts that it has its
    /// partitions, and handles nothing until [`lose`](Self::lose) or [`assign`](Self::assign), or the session timeout.
    pub fn refuse_commits(&mut self, error: ClientError) {
        self.refused_commits = Some(error);
        self.set_faults();
    }

    /// Lets commits succeed again.
    pub fn accept_commits(&mut self) {
        self.refused_commits = None;
        self.set_faults();
    }

    /// Keeps finished offsets uncommitted, as if `commit_interval` did not end: what
    /// [`kill_and_restart`](Self::kill_and_restart) then finds handled and not committed is handled again. Partitions
    /// that are given back, and a stop, still commit. A runtime that sees no commit for two session timeouts (90 s of
    /// the test's clock) doubts that it has its partitions, here as in production.
    pub fn hold_commits(&mut self) {
        self.holds_commits = true;
    }

    /// Commits again, with the next [`idle`](Self::idle).
    pub fn release_commits(&mut self) {
        self.holds_commits = false;
    }

    /// Makes every broker unreachable: nothing is fetched or committed, writes wait (and fail after 2 minutes of the
    /// test's clock, librdkafka's `delivery.timeout.ms`). [`produce`](Self::produce) still writes: it is the test's.
    pub fn disconnect_brokers(&mut self) {
        self.brokers.set_reachable(false);
        self.set_faults();
        self.members.iter().for_each(Member::tell_unreachable);
    }

    /// Makes the brokers reachable again.
    pub fn reconnect_brokers(&mut self) {
        self.brokers.set_reachable(true);
        self.set_faults();
    }

    fn set_faults(&self) {
        for member in &self.members {
            member.set_faults(self.refused_commits.as_ref());
        }
    }
}
