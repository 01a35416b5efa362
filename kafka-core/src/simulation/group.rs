//! The group's coordinator: who owns what, and how partitions change hands.

use std::collections::{BTreeMap, BTreeSet};

use super::member::SimMember;
use super::random::Random;
use super::world::{SharedWorld, TOPIC};
use crate::client::Polled;
use crate::error::ClientError;
use crate::record::TopicPartition;

pub(super) struct Group {
    pub(super) members: Vec<SimMember>,
    world: SharedWorld,
    /// Who is to own a partition when the rebalance that goes on is over.
    target: BTreeMap<TopicPartition, usize>,
    is_eager: bool,
    is_rebalancing: bool,
}

impl Group {
    pub(super) fn new(world: &SharedWorld) -> Self {
        let is_eager = world.lock().setup.is_eager;
        Self {
            members: Vec::new(),
            world: world.clone(),
            target: BTreeMap::new(),
            is_eager,
            is_rebalancing: false,
        }
    }

    pub(super) fn join(&mut self) {
        self.members.push(SimMember::join(&self.world));
    }

    fn partitions(&self) -> Vec<TopicPartition> {
        let partitions = self.world.lock().setup.partitions;
        (0..partitions)
            .map(|p| TopicPartition::new(TOPIC, p))
            .collect()
    }

    /// Members that can be given something.
    fn candidates(&self) -> Vec<usize> {
        let able = |(_, m): &(usize, &SimMember)| m.is_valid && m.is_up() && !m.is_stopping();
        self.members
            .iter()
            .enumerate()
            .filter(able)
            .map(|(index, _)| index)
            .collect()
    }

    /// Decides anew who is to own what.
    fn choose(&mut self, random: &mut Random) -> bool {
        let candidates = self.candidates();
        if candidates.is_empty() {
            return false;
        }
        let target = self
            .partitions()
            .into_iter()
            .map(|at| (at, *random.pick(&candidates)));
        self.target = target.collect();
        true
    }

    fn share_of(&self, index: usize) -> BTreeSet<TopicPartition> {
        let of = |(_, owner): &(&TopicPartition, &usize)| **owner == index;
        self.target
            .iter()
            .filter(of)
            .map(|(at, _)| at.clone())
            .collect()
    }

    /// Begins a rebalance, unless one goes on.
    pub(super) fn rebalance(&mut self, random: &mut Random) {
        if self.is_rebalancing || !self.choose(random) {
            return;
        }
        self.is_rebalancing = true;
        for index in 0..self.members.len() {
            let share = self.share_of(index);
            let member = &mut self.members[index];
            if member.is_gone() || !member.is_valid {
                continue;
            }
            let taken: BTreeSet<_> = if self.is_eager {
                member.owned.clone()
            } else {
                member.owned.difference(&share).cloned().collect()
            };
            if !taken.is_empty() {
                self.world
                    .lock()
                    .broker
                    .member(member.id)
                    .tell(Polled::Revoked(taken.iter().cloned().collect()));
                member.revoking = taken;
            }
        }
    }

    /// Goes on with the rebalance as far as the members have answered.
    pub(super) fn coordinate(&mut self, random: &mut Random) {
        let broker = self.world.lock().broker.clone();
        let mut must_rebalance = false;
        for member in &mut self.members {
            if member.is_gone() && !member.owned.is_empty() {
                // It has left, or it was killed and its session has ended.
                member.owned.clear();
                member.revoking.clear();
                must_rebalance = true;
            }
            let assigned = broker.member(member.id).assigned();
            let view = broker.member(member.id);
            if !member.revoking.is_empty()
                && view.has_heard()
                && !member.revoking.iter().any(|at| assigned.contains(at))
            {
                for at in std::mem::take(&mut member.revoking) {
                    member.owned.remove(&at);
                }
            }
        }
        if self.is_rebalancing && self.members.iter().all(|m| m.revoking.is_empty()) {
            self.is_rebalancing = false;
            self.hand_out();
        } else if must_rebalance {
            self.rebalance(random);
        }
        if !self.is_rebalancing {
            let owned: BTreeSet<_> = self
                .members
                .iter()
                .flat_map(|m| m.owned.iter().cloned())
                .collect();
            if owned.len() < self.partitions().len() {
                self.rebalance(random);
            }
        }
    }

    /// Gives each member what it is to own and does not.
    fn hand_out(&mut self) {
        let broker = self.world.lock().broker.clone();
        let owned: BTreeSet<_> = self
            .members
            .iter()
            .flat_map(|m| m.owned.iter().cloned())
            .collect();
        for index in 0..self.members.len() {
            let share = self.share_of(index);
            let member = &mut self.members[index];
            if !member.is_valid || member.is_gone() {
                continue;
            }
            let given: Vec<_> = share.into_iter().filter(|at| !owned.contains(at)).collect();
            member.owned.extend(given.iter().cloned());
            broker.member(member.id).tell(Polled::Assigned(given));
        }
    }

    /// The group goes on without the answer of the members that drain.
    pub(super) fn supersede(&mut self, random: &mut Random) {
        let broker = self.world.lock().broker.clone();
        let heard = |m: &SimMember| {
            !m.revoking.is_empty() && broker.member(m.id).has_heard() && m.is_up() && m.is_valid
        };
        if !self.is_rebalancing || !self.members.iter().any(heard) {
            return;
        }
        // Only if all who were asked have heard it: the others have not answered the first question yet.
        if self
            .members
            .iter()
            .any(|m| !m.revoking.is_empty() && !heard(m))
            || !self.choose(random)
        {
            return;
        }
        for index in 0..self.members.len() {
            let share = self.share_of(index);
            let member = &mut self.members[index];
            for at in std::mem::take(&mut member.revoking) {
                member.owned.remove(&at);
                let mut world = self.world.lock();
                world.counts.superseded += 1;
                if share.contains(&at) {
                    world.excuse(&at);
                } else {
                    world.set_zombie(member.id, &at);
                }
            }
        }
        // What a member keeps stays its own, whatever the new plan says.
        for index in 0..self.members.len() {
            for at in &self.members[index].owned {
                self.target.insert(at.clone(), index);
            }
        }
        self.is_rebalancing = false;
        self.hand_out();
    }

    /// The group takes a member for gone: others get its partitions at once.
    pub(super) fn expel(&mut self, index: usize, random: &mut Random) {
        let member = &mut self.members[index];
        if member.is_gone() || !member.is_valid {
            return;
        }
        member.is_valid = false;
        member.revoking.clear();
        let owned = std::mem::take(&mut member.owned);
        let id = member.id;
        {
            let mut world = self.world.lock();
            let refusal = ClientError::NotAMember("expelled".into());
            let broker = world.broker.clone();
            broker
                .member(id)
                .set_faults(|faults| faults.commits = Some(refusal));
            // What was told and not heard yet it never hears.
            broker.member(id).forget_events();
            for at in broker.member(id).assigned().iter().chain(&owned) {
                world.set_zombie(id, at);
            }
        }
        if !self.is_rebalancing {
            self.rebalance(random);
        }
    }

    /// A member that was expelled learns it, and joins again.
    pub(super) fn readmit(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.is_valid || !member.is_up() {
            return;
        }
        let broker = self.world.lock().broker.clone();
        let view = broker.member(member.id);
        let lost = view.assigned();
        view.set_faults(|faults| faults.commits = None);
        view.tell(Polled::Lost(lost));
        member.is_valid = true;
    }
}
