//! The engine of one group: one thread that polls the client all the time, and does everything that must not be
//! late: it answers the group, hands records over, stores offsets, pauses and resumes.
//!
//! [`Engine::poll`] and [`Engine::advance`] are one round; the thread is a loop around them ([`run`]). Nothing here
//! waits for a handler.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::assignment::{StartAt, lanes_for, start_at};
use super::backpressure::Budget;
use super::dispatch::{Assigned, Dispatch};
use super::monitor::{GroupState, Monitor};
use super::partition::{Epoch, PartitionState};
use super::route::{GroupServices, Routes};
use super::spawn::Spawner;
use crate::client::{Consumer, Polled, Position};
use crate::config::OutOfRange;
use crate::error::{ClientError, RunError};
use crate::handler::Start;
use crate::observe::Event;
use crate::record::{Offset, TopicPartition};

/// Records taken from the client in one round.
const MOST: usize = 512;
/// How long a round waits for records while nothing else is going on. Bounds the delay of a command.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// The same while a drain, a stop or a paused partition is watched.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// How long the poll thread waits for lanes that are short of processor time, before it pauses their partition. Far
/// below `max.poll.interval.ms`, and short enough to answer the group.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
const WAIT_STEP: Duration = Duration::from_millis(1);
/// How often advanced offsets are handed to the client, which commits them every `auto.commit.interval.ms`.
const STORE_INTERVAL: Duration = Duration::from_millis(100);
/// How long the group's committed offsets may take, and a partition's range: asked again in the next round. The poll
/// thread blocks meanwhile, which a stop has to wait for.
const COMMITTED_TIMEOUT: Duration = Duration::from_millis(1500);
/// How often a member that hears no broker asks whether one answers, and how long it waits for that.
const REACHABLE_INTERVAL: Duration = Duration::from_secs(1);
const REACHABLE_TIMEOUT: Duration = Duration::from_millis(100);
/// Calls that were told to stop get this long before they are dropped.
const CANCEL_WAIT: Duration = Duration::from_millis(500);
/// Producers get this long to send what handlers left with them.
const FLUSH_WAIT: Duration = Duration::from_millis(500);
/// A member gets this long to leave the group; then its thread is abandoned.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// What the engine is told from outside.
#[derive(Debug)]
pub(crate) enum Command {
    /// These are the handlers from now on.
    Routes(Routes),
    /// Stop fetching from a topic.
    Pause(String),
    /// Fetch from it again.
    Resume(String),
    /// Finish what runs, commit, leave.
    Stop,
}

/// How an engine behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineConfig {
    pub(crate) budget: Budget,
    pub(crate) drain_timeout: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) cores: usize,
    pub(crate) on_out_of_range: OutOfRange,
}

/// A revoke that waits for its answer.
struct Revoking {
    partitions: Vec<TopicPartition>,
    since: Instant,
    is_cancelled: bool,
}

struct Stopping {
    since: Instant,
    is_cancelled: bool,
}

/// See the module.
pub(crate) struct Engine {
    consumer: Box<dyn Consumer>,
    config: EngineConfig,
    group: GroupServices,
    routes: Routes,
    dispatch: Dispatch,
    spawner: Spawner,
    commands: Receiver<Command>,
    monitor: Arc<Monitor>,
    flush: Box<dyn Fn(Duration) + Send>,
    epoch: u64,
    /// Assigned and not answered yet, with offsets that are known better than the group knows them.
    assigning: Option<Vec<(TopicPartition, Option<Offset>)>>,
    revoking: Option<Revoking>,
    /// Earlier assignments whose calls may still run.
    retired: Vec<Arc<PartitionState>>,
    paused_topics: HashSet<String>,
    stopping: Option<Stopping>,
    stored_at: Option<Instant>,
    /// What the last attempt to store said.
    store_error: Option<ClientError>,
    /// When it was last asked whether a broker answers.
    asked_at: Option<Instant>,
}

/// What an engine needs to start.
pub(crate) struct Parts {
    pub(crate) consumer: Box<dyn Consumer>,
    pub(crate) config: EngineConfig,
    pub(crate) group: GroupServices,
    pub(crate) routes: Routes,
    pub(crate) spawner: Spawner,
    pub(crate) monitor: Arc<Monitor>,
    /// Flushes the runtime's producer, for no longer than it is told.
    pub(crate) flush: Box<dyn Fn(Duration) + Send>,
}

impl Engine {
    /// Makes an engine; it joins the group with its first round.
    pub(crate) fn new(parts: Parts) -> (Self, Sender<Command>) {
        let (send, commands) = channel();
        // The first command, so that there is one way to subscribe.
        let _ = send.send(Command::Routes(parts.routes));
        let engine = Self {
            consumer: parts.consumer,
            config: parts.config,
            group: parts.group,
            routes: Routes::default(),
            dispatch: Dispatch::default(),
            spawner: parts.spawner,
            commands,
            monitor: parts.monitor,
            flush: parts.flush,
            epoch: 0,
            assigning: None,
            revoking: None,
            retired: Vec::new(),
            paused_topics: HashSet::new(),
            stopping: None,
            stored_at: None,
            store_error: None,
            asked_at: None,
        };
        (engine, send)
    }

    /// First half of a round: takes commands, then records or one event of the group.
    pub(crate) fn poll(&mut self, now: Instant) {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.obey(command, now),
                Err(TryRecvError::Empty) => break,
                // Nobody can reach this engine any more.
                Err(TryRecvError::Disconnected) => break self.stop(now),
            }
        }
        let wait = if self.is_watching() {
            BUSY_WAIT
        } else {
            IDLE_WAIT
        };
        let polled = self.consumer.poll(wait, MOST, &mut self.dispatch);
        self.dispatch.flush();
        match polled {
            Polled::Records => {}
            Polled::Assigned(partitions) => self.assigned(partitions),
            Polled::Revoked(partitions) => self.revoked(partitions, now),
            Polled::Lost(partitions) => self.lost(&partitions),
            Polled::Error(error) => self.client_error(error),
        }
        for (partition, offset, count) in self.consumer.take_unreadable_headers() {
            self.group.observers.emit(&Event::HeadersUnreadable {
                partition: &partition,
                offset,
                count,
            });
        }
    }

    /// Second half of a round: whatever time or the lanes have brought about. True: the engine has nothing more to do.
    pub(crate) fn advance(&mut self, now: Instant) -> bool {
        self.retired.retain(|state| !state.is_over());
        if self.group.failed.is_set() {
            self.stop(now);
        }
        self.answer_assign();
        self.answer_revoke(now);
        self.balance();
        if self
            .stored_at
            .is_none_or(|at| now.duration_since(at) >= STORE_INTERVAL)
        {
            self.stored_at = Some(now);
            self.store();
        }
        self.look_for_brokers(now);
        self.is_stopped(now)
    }

    /// True while a partition holds its share only because its lanes are short of processor time. Polling on would not
    /// make them faster, and a pause would throw prefetched records away: a moment's wait is better.
    pub(crate) fn is_ahead(&self) -> bool {
        let share = self.config.budget.share(self.dispatch.partitions.len());
        let mut reading = self.dispatch.partitions.iter().filter(|p| !p.is_full);
        reading.any(|p| share.is_reached(p.load()) && p.is_behind())
    }

    fn is_watching(&self) -> bool {
        self.revoking.is_some()
            || self.stopping.is_some()
            || self.assigning.is_some()
            || self.dispatch.partitions.iter().any(|p| p.is_full)
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Routes(routes) => self.set_routes(routes),
            Command::Pause(topic) => self.pause(topic),
            Command::Resume(topic) => self.resume(&topic),
            Command::Stop => self.stop(now),
        }
    }

    fn set_routes(&mut self, routes: Routes) {
        self.routes = routes;
        let subscription = self.routes.subscription();
        self.monitor.set_topics(subscription.clone());
        if let Err(error) = self.consumer.subscribe(&subscription) {
            self.client_error(error);
        }
        for index in 0..self.dispatch.partitions.len() {
            let partition = &self.dispatch.partitions[index];
            let Some(handler) = self.routes.of_topic(&partition.state.at.topic) else {
                // The group takes it back soon; its handler is gone now.
                partition.state.drain();
                partition.wake();
                continue;
            };
            if !Arc::ptr_eq(handler, &partition.handler) {
                self.replace_handler(index);
            }
        }
        self.publish();
    }

    /// Gives a partition that stays assigned to another handler: a new epoch, from the first unfinished record on.
    fn replace_handler(&mut self, index: usize) {
        let at = self.dispatch.partitions[index].state.at.clone();
        let lanes = self.dispatch.partitions[index].lanes.len();
        let old = &self.dispatch.partitions[index];
        let resume_at = old.state.committable().or_else(|| old.state.stored());
        self.store();
        let old = &self.dispatch.partitions[index];
        old.state.fence();
        old.wake();
        self.retired.push(Arc::clone(&old.state));
        if let Some(mut new) = self.start_partition(&at, lanes) {
            let old = &self.dispatch.partitions[index];
            // The client still has it paused; `balance` and `resume` know why only from here.
            (new.is_full, new.is_paused) = (old.is_full, old.is_paused);
            if let Some(offset) = resume_at {
                new.state.set_stored(offset);
            }
            self.dispatch.partitions[index] = new;
        }
        let sought = match resume_at {
            Some(offset) => self.consumer.seek(&at, offset),
            None => self
                .consumer
                .watermarks(&at, COMMITTED_TIMEOUT)
                .and_then(|(oldest, _)| self.consumer.seek(&at, oldest)),
        };
        if let Err(error) = sought {
            self.client_error(error);
        }
    }

    fn start_partition(&mut self, at: &TopicPartition, lanes: usize) -> Option<Assigned> {
        let handler = Arc::clone(self.routes.of_topic(&at.topic)?);
        self.epoch += 1;
        let unfinished = self
            .retired
            .iter()
            .filter(|old| old.at == *at && !old.is_over());
        let after = unfinished.max_by_key(|old| old.epoch);
        Some(Assigned::start(
            at.clone(),
            Epoch(self.epoch),
            lanes,
            &handler,
            &self.group,
            after,
            &self.spawner,
        ))
    }

    fn pause(&mut self, topic: String) {
        let partitions: Vec<_> = self
            .dispatch
            .partitions
            .iter_mut()
            .filter(|p| *p.state.at.topic == topic && !p.is_paused)
            .map(|p| {
                p.is_paused = true;
                p.state.at.clone()
            })
            .collect();
        self.paused_topics.insert(topic);
        self.report(|consumer| consumer.pause(&partitions));
        self.publish();
    }

    fn resume(&mut self, topic: &str) {
        self.paused_topics.remove(topic);
        let mut partitions = Vec::new();
        for partition in &mut self.dispatch.partitions {
            if *partition.state.at.topic == *topic && partition.is_paused {
                partition.is_paused = false;
                if !partition.is_full {
                    partitions.push(partition.state.at.clone());
                }
            }
        }
        self.report(|consumer| consumer.resume(&partitions));
        self.publish();
    }

    fn report(&mut self, call: impl FnOnce(&mut dyn Consumer) -> Result<(), ClientError>) {
        if let Err(error) = call(&mut *self.consumer) {
            self.client_error(error);
        }
    }

    /// Reports what was dealt with.
    fn client_warning(&self, error: &ClientError) {
        self.group.observers.emit(&Event::ClientError {
            group_id: &self.group.group_id,
            error,
        });
    }

    /// Reports an error; one that no waiting can mend ends the run.
    fn client_error(&mut self, error: ClientError) {
        self.client_warning(&error);
        self.monitor.set_error(error.clone());
        // TLS and authentication were right at the start: a broker that restarts can fail both for a while.
        let is_final = matches!(
            error,
            ClientError::Settings(_)
                | ClientError::Authorization(_)
                | ClientError::Unsupported(_)
                | ClientError::OffsetOutOfRange(_)
                | ClientError::Fatal(_)
        );
        if is_final {
            self.group.failed.set(RunError::Client {
                group_id: self.group.group_id.to_string(),
                source: error,
            });
        }
    }

    fn assigned(&mut self, partitions: Vec<TopicPartition>) {
        let known = self.supersede_revoke();
        let assigning = self.assigning.get_or_insert_default();
        for partition in partitions {
            let offset = known
                .iter()
                .find(|(at, _)| *at == partition)
                .map(|(_, offset)| *offset);
            assigning.push((partition, offset));
        }
    }

    /// An assignment while a revoke waits: the group went on without our answer, which would come too late now.
    ///
    /// What is both taken and given back keeps the offset that we know; the rest is another member's already, so
    /// nothing of it is stored. See "Partitions added" in docs/ARCHITECTURE.md.
    fn supersede_revoke(&mut self) -> Vec<(TopicPartition, Offset)> {
        let Some(revoking) = self.revoking.take() else {
            return Vec::new();
        };
        let mut known = Vec::new();
        for at in &revoking.partitions {
            if let Some(old) = self.dispatch.remove(at) {
                old.state.fence();
                old.wake();
                known.extend(old.state.committable().map(|offset| (at.clone(), offset)));
                self.retired.push(old.state);
            }
        }
        if !self.consumer.is_eager() {
            self.report(|consumer| consumer.unassign(&revoking.partitions));
        }
        self.group.observers.emit(&Event::Lost {
            group_id: &self.group.group_id,
            partitions: &revoking.partitions,
        });
        known
    }

    /// Answers an assignment: decides where to read from, and starts the lanes.
    fn answer_assign(&mut self) {
        let Some(assigning) = self.assigning.take() else {
            return;
        };
        if self.stopping.is_some() {
            return;
        }
        let positions = match self.positions(&assigning) {
            Ok(positions) => positions,
            Err(error) => {
                // The group's coordinator is away: keep the question, ask again in the next round.
                self.client_error(error);
                self.assigning = Some(assigning);
                return;
            }
        };
        let answer: Vec<_> = positions
            .iter()
            .map(|p| (p.at.clone(), p.position))
            .collect();
        if let Err(error) = self.consumer.assign(&answer) {
            self.client_error(error);
            return;
        }
        self.monitor.clear_error();
        let lanes = lanes_for(
            self.dispatch.partitions.len() + positions.len(),
            self.config.cores,
        );
        let (mut started, mut commit, mut pause) = (Vec::new(), Vec::new(), Vec::new());
        for Resolved {
            at,
            position,
            is_new,
        } in positions
        {
            if let Some(old) = self.dispatch.remove(&at) {
                old.state.fence();
                old.wake();
                self.retired.push(old.state);
            }
            let Some(mut partition) = self.start_partition(&at, lanes) else {
                // Matched by the broker's view of a pattern, or its handler was just removed.
                pause.push(at);
                continue;
            };
            let offset = match position {
                Position::At(offset) => Some(offset),
                Position::Beginning => None,
            };
            if let Some(offset) = offset {
                if is_new {
                    commit.push((at.clone(), offset));
                }
                partition.state.set_stored(offset);
            }
            if self.paused_topics.contains(&*at.topic) {
                partition.is_paused = true;
                pause.push(at.clone());
            }
            self.dispatch.partitions.push(partition);
            started.push((at, offset));
        }
        if !pause.is_empty() {
            self.report(|consumer| consumer.pause(&pause));
        }
        if !commit.is_empty() {
            self.report(|consumer| consumer.store(&commit));
        }
        self.group.observers.emit(&Event::Assigned {
            group_id: &self.group.group_id,
            partitions: &started,
        });
        self.publish();
        self.monitor.set_state(GroupState::Running);
    }

    fn positions(
        &mut self,
        assigning: &[(TopicPartition, Option<Offset>)],
    ) -> Result<Vec<Resolved>, ClientError> {
        let unknown: Vec<_> = assigning
            .iter()
            .filter(|(_, known)| known.is_none())
            .map(|(at, _)| at.clone())
            .collect();
        let committed = if unknown.is_empty() {
            Vec::new()
        } else {
            self.consumer.committed(&unknown, COMMITTED_TIMEOUT)?
        };
        let mut committed = committed.into_iter();
        let mut positions = Vec::with_capacity(assigning.len());
        for (at, known) in assigning {
            let committed = match known {
                Some(offset) => Some(*offset),
                None => committed.next().flatten(),
            };
            let start = self
                .routes
                .of_topic(&at.topic)
                .map_or_else(Default::default, |h| h.start);
            let needs_range = committed.is_some() || start == Start::Latest;
            let range = if needs_range {
                Some(self.consumer.watermarks(at, COMMITTED_TIMEOUT)?)
            } else {
                None
            };
            let (position, is_new) = match start_at(
                committed,
                start,
                range,
                self.config.on_out_of_range,
            ) {
                StartAt::Committed(offset) => (Position::At(offset), known.is_some()),
                StartAt::Beginning => (Position::Beginning, false),
                StartAt::End(offset) => (Position::At(offset), true),
                StartAt::AfterRange {
                    committed,
                    oldest,
                    end,
                    go_on_at,
                } => {
                    let text = format!(
                        "{at}: committed offset {committed} is outside of what the broker has, {oldest} to {end}"
                    );
                    let Some(offset) = go_on_at else {
                        return Err(ClientError::OffsetOutOfRange(text));
                    };
                    self.client_warning(&ClientError::OffsetOutOfRange(format!(
                        "{text}; going on at {offset} by on_out_of_range"
                    )));
                    (Position::At(offset), true)
                }
            };
            positions.push(Resolved {
                at: at.clone(),
                position,
                is_new,
            });
        }
        Ok(positions)
    }

    fn revoked(&mut self, partitions: Vec<TopicPartition>, now: Instant) {
        if let Some(assigning) = &mut self.assigning {
            assigning.retain(|(at, _)| !partitions.contains(at));
        }
        for at in &partitions {
            if let Some(partition) = self.dispatch.find(at) {
                partition.state.drain();
                partition.wake();
            }
        }
        match &mut self.revoking {
            Some(revoking) => revoking.partitions.extend(partitions),
            None => {
                self.revoking = Some(Revoking {
                    partitions,
                    since: now,
                    is_cancelled: false,
                });
            }
        }
    }

    /// Answers a revoke once its calls are over or out of time.
    fn answer_revoke(&mut self, now: Instant) {
        let Some(mut revoking) = self.revoking.take() else {
            return;
        };
        let waited = now.duration_since(revoking.since);
        let of_revoke = |p: &&Assigned| revoking.partitions.contains(&p.state.at);
        let is_over = self
            .dispatch
            .partitions
            .iter()
            .filter(of_revoke)
            .all(|p| p.state.is_over());
        if !is_over && waited < self.config.drain_timeout {
            // Lanes wait for what the others say of the drain.
            self.dispatch
                .partitions
                .iter()
                .filter(of_revoke)
                .for_each(Assigned::wake);
            // Near the end, calls are told to hurry.
            if !revoking.is_cancelled && waited + CANCEL_WAIT >= self.config.drain_timeout {
                self.dispatch
                    .partitions
                    .iter()
                    .filter(of_revoke)
                    .for_each(|p| p.state.cancel.cancel());
                revoking.is_cancelled = true;
            }
            self.revoking = Some(revoking);
            return;
        }
        let mut dropped = 0;
        let mut store = Vec::new();
        for at in &revoking.partitions {
            if let Some(partition) = self.dispatch.remove(at) {
                dropped += if partition.state.is_over() {
                    0
                } else {
                    partition.running_calls()
                };
                partition.state.fence();
                partition.wake();
                store.extend(
                    partition
                        .state
                        .to_store()
                        .map(|offset| (at.clone(), offset)),
                );
                self.retired.push(partition.state);
            }
        }
        self.report(|consumer| consumer.store(&store));
        self.report(|consumer| consumer.unassign(&revoking.partitions));
        self.group.observers.emit(&Event::Revoked {
            group_id: &self.group.group_id,
            partitions: &revoking.partitions,
            drained_in: waited,
            dropped,
        });
        self.publish();
    }

    /// Partitions that are somebody else's: nothing of them is stored, their calls are dropped.
    fn lost(&mut self, partitions: &[TopicPartition]) {
        self.assigning = None;
        if let Some(revoking) = &mut self.revoking {
            revoking.partitions.retain(|at| !partitions.contains(at));
            if revoking.partitions.is_empty() {
                self.revoking = None;
            }
        }
        for at in partitions {
            if let Some(partition) = self.dispatch.remove(at) {
                partition.state.fence();
                partition.wake();
                self.retired.push(partition.state);
            }
        }
        self.report(|consumer| consumer.unassign(partitions));
        self.group.observers.emit(&Event::Lost {
            group_id: &self.group.group_id,
            partitions,
        });
        self.publish();
    }

    /// Hands advanced offsets to the client.
    fn store(&mut self) {
        let store: Vec<_> = self
            .dispatch
            .partitions
            .iter()
            .filter_map(|p| Some((p.state.at.clone(), p.state.to_store()?)))
            .collect();
        if store.is_empty() {
            return;
        }
        match self.consumer.store(&store) {
            Ok(()) => {
                self.store_error = None;
                for (at, offset) in &store {
                    if let Some(partition) = self.dispatch.find(at) {
                        partition.state.set_stored(*offset);
                    }
                }
            }
            // The same every 100 ms is told once.
            Err(error) if self.store_error.as_ref() == Some(&error) => {}
            Err(error) => {
                self.store_error = Some(error.clone());
                self.client_error(error);
            }
        }
    }

    /// Asks whether a broker answers again, while the last thing heard is that none does: without records and without
    /// commits nothing else would say so.
    fn look_for_brokers(&mut self, now: Instant) {
        if !self.monitor.is_unreachable() {
            self.asked_at = None;
            return;
        }
        let is_due = self
            .asked_at
            .is_none_or(|at| now.duration_since(at) >= REACHABLE_INTERVAL);
        if is_due && self.stopping.is_none() {
            self.asked_at = Some(now);
            if self.consumer.is_reachable(REACHABLE_TIMEOUT) {
                self.monitor.clear_error();
            }
        }
    }

    /// Pauses partitions that hold their share of the budget, resumes those that are relieved.
    fn balance(&mut self) {
        let share = self.config.budget.share(self.dispatch.partitions.len());
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for partition in &mut self.dispatch.partitions {
            let load = partition.load();
            if !partition.is_full && share.is_reached(load) {
                partition.is_full = true;
                if !partition.is_paused {
                    pause.push(partition.state.at.clone());
                }
                self.group.observers.emit(&Event::Paused {
                    partition: &partition.state.at,
                    in_flight: load.records,
                    bytes: load.bytes,
                });
            } else if partition.is_full && share.is_relieved(load) {
                partition.is_full = false;
                if !partition.is_paused {
                    resume.push(partition.state.at.clone());
                }
                self.group.observers.emit(&Event::Resumed {
                    partition: &partition.state.at,
                });
            }
        }
        if pause.is_empty() && resume.is_empty() {
            return;
        }
        if !pause.is_empty() {
            self.report(|consumer| consumer.pause(&pause));
        }
        if !resume.is_empty() {
            self.report(|consumer| consumer.resume(&resume));
        }
        self.publish();
    }

    /// Begins to stop: nothing new is started, what runs may finish.
    fn stop(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        self.monitor.set_state(GroupState::Stopping);
        self.stopping = Some(Stopping {
            since: now,
            is_cancelled: false,
        });
        let partitions: Vec<_> = self
            .dispatch
            .partitions
            .iter()
            .map(|p| p.state.at.clone())
            .collect();
        for partition in &self.dispatch.partitions {
            partition.state.drain();
            partition.wake();
        }
        if !partitions.is_empty() {
            self.report(|consumer| consumer.pause(&partitions));
        }
    }

    /// Goes on with the stop; true once everything is stored and the client may be closed.
    fn is_stopped(&mut self, now: Instant) -> bool {
        let Some(stopping) = &mut self.stopping else {
            return false;
        };
        let waited = now.duration_since(stopping.since);
        let grace = self.config.shutdown_grace;
        let is_over = self.dispatch.partitions.iter().all(|p| p.state.is_over());
        if !is_over && waited < grace + CANCEL_WAIT {
            // Lanes wait for what the others say of the drain.
            self.dispatch.partitions.iter().for_each(Assigned::wake);
            if !stopping.is_cancelled && waited >= grace {
                stopping.is_cancelled = true;
                for partition in &self.dispatch.partitions {
                    partition.state.cancel.cancel();
                }
            }
            return false;
        }
        let since = stopping.since;
        for partition in &self.dispatch.partitions {
            partition.state.fence();
            partition.wake();
        }
        (self.flush)(FLUSH_WAIT);
        self.store();
        // A revoke that waits loses its stored offsets if the client closes first (classic protocol).
        if let Some(revoking) = self.revoking.take() {
            self.report(|consumer| consumer.unassign(&revoking.partitions));
        }
        let unfinished = self
            .dispatch
            .partitions
            .iter()
            .map(|p| p.state.in_flight())
            .sum();
        self.dispatch.partitions.clear();
        self.publish();
        self.group.observers.emit(&Event::Stopped {
            group_id: &self.group.group_id,
            took: now.duration_since(since),
            unfinished,
        });
        true
    }

    /// Shows the partitions to whoever asks.
    fn publish(&self) {
        let partitions = self
            .dispatch
            .partitions
            .iter()
            .map(|p| (Arc::clone(&p.state), p.is_paused || p.is_full))
            .collect();
        self.monitor.set_partitions(partitions);
    }
}

/// Where a partition will be read from.
struct Resolved {
    at: TopicPartition,
    position: Position,
    /// The group does not know this offset: it is stored at once.
    is_new: bool,
}

/// Runs an engine on this thread until it is told to stop, or must; then leaves the group.
pub(crate) fn run(mut engine: Engine) -> Result<(), RunError> {
    let failed = Arc::clone(&engine.group.failed);
    let group_id = engine.group.group_id.to_string();
    let monitor = Arc::clone(&engine.monitor);
    let ended = catch_unwind(AssertUnwindSafe(move || {
        loop {
            engine.poll(Instant::now());
            let until = Instant::now() + LONGEST_WAIT;
            while engine.is_ahead() && Instant::now() < until {
                std::thread::sleep(WAIT_STEP);
            }
            if engine.advance(Instant::now()) {
                break;
            }
        }
        close(engine.consumer, CLOSE_WAIT);
    }));
    let result = match ended {
        Ok(()) => failed.take().map_or(Ok(()), Err),
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            Err(RunError::Panicked {
                group_id,
                text: text.unwrap_or_default(),
            })
        }
    };
    monitor.end(result.clone());
    result
}

/// Closes a client on a thread of its own, which is abandoned if the brokers do not let it end in time.
fn close(consumer: Box<dyn Consumer>, wait: Duration) {
    let (send, closed) = channel::<()>();
    let thread = std::thread::Builder::new().name("kafka-close".into());
    let spawned = thread.spawn(move || {
        consumer.close();
        drop(send);
    });
    if spawned.is_ok() {
        // Disconnected: it has closed.
        let _: Result<(), RecvTimeoutError> = closed.recv_timeout(wait);
    }
}
