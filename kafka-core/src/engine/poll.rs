//! The engine of one group: one thread that polls the client all the time, and does everything that must not be
//! late: it answers the group, hands records over, stores offsets, pauses and resumes.
//!
//! [`Engine::poll`] and [`Engine::advance`] are one round; the thread is a loop around them ([`run`]). Nothing here
//! waits for a handler.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::backpressure::{Budget, Share};
use super::corrupt::Corrupt;
use super::dispatch::{Assigned, Dispatch, NewPartition, Patience};
use super::fence::Fenced;
use super::lane_task::LaneParking;
use super::monitor::{Monitor, Shown};
use super::out_of_range::Doubt;
use super::partition::{Epoch, PartitionState};
use super::pulse::Beat;
use super::rebalance::Revoking;
use super::retries::Retries;
use super::route::{GroupServices, Routes};
use super::spawn::Spawner;
use super::stop::{Stopping, close};
use crate::client::{Consumer, Polled, Position};
use crate::config::OutOfRange;
use crate::error::{ClientError, RunError, panic_text};
use crate::failure::retry_topic::Parking;
use crate::mutant::{self, Mutant};
use crate::observe::{Event, Suspicion};
use crate::record::{Offset, TopicPartition};

/// Records taken from the client in one round.
pub(super) const MOST: usize = 512;
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
pub(super) const COMMITTED_TIMEOUT: Duration = Duration::from_millis(1500);
/// How often a member that hears no broker asks whether one answers, and how long it waits for that.
const REACHABLE_INTERVAL: Duration = Duration::from_secs(1);
const REACHABLE_TIMEOUT: Duration = Duration::from_millis(100);
/// Calls that were told to stop get this long before they are dropped.
pub(super) const CANCEL_WAIT: Duration = Duration::from_millis(500);

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
    /// After this long without a sign of the member the group gives its partitions to others.
    pub(crate) session_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    /// How often the client commits what was stored.
    pub(crate) commit_interval: Duration,
    /// The client says when a session is over because no heartbeat was answered. With `group.protocol=consumer` librdkafka
    /// 2.12 does not.
    pub(crate) is_told_of_silence: bool,
    /// So many records of one partition may wait in retry topics at once.
    pub(crate) most_parked: usize,
}

/// See the module.
pub(crate) struct Engine {
    pub(super) consumer: Box<dyn Consumer>,
    pub(super) config: EngineConfig,
    pub(super) group: GroupServices,
    pub(super) routes: Routes,
    pub(super) dispatch: Dispatch,
    pub(super) spawner: Spawner,
    pub(super) commands: Receiver<Command>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) flush: Box<dyn Fn(Duration) + Send>,
    pub(super) epoch: u64,
    /// Assigned and not answered yet, with offsets that are known better than the group knows them.
    pub(super) assigning: Option<Vec<(TopicPartition, Option<Offset>)>>,
    pub(super) revoking: Option<Revoking>,
    /// Earlier assignments whose calls may still run.
    pub(super) retired: Vec<Arc<PartitionState>>,
    pub(super) paused_topics: HashSet<String>,
    pub(super) stopping: Option<Stopping>,
    /// Not handled and not stored until the group has spoken.
    pub(super) fenced: Option<Fenced>,
    /// When the group was heard of last; `None` while there is no reason to listen.
    pub(super) heard_at: Option<Instant>,
    /// When it was asked last whether it is there.
    pub(super) group_asked_at: Option<Instant>,
    pub(super) watched_at: Option<Instant>,
    pub(super) corrupt: Corrupt,
    /// Retry topics, once a handler has some.
    pub(super) retries: Option<Retries>,
    pub(super) retry_consumer: MakeConsumer,
    /// Tells this engine apart from all others, in the headers of what it parks.
    pub(super) instance: String,
    /// Partitions that the client may have stopped to read, to be looked at again.
    pub(super) out_of_range: Option<Doubt>,
    pub(super) stored_at: Option<Instant>,
    /// What the last attempt to store said.
    pub(super) store_error: Option<ClientError>,
    /// When it was last asked whether a broker answers.
    pub(super) asked_at: Option<Instant>,
}

/// Makes a client.
pub(crate) type MakeConsumer = Box<dyn Fn() -> Result<Box<dyn Consumer>, ClientError> + Send>;

/// Returns a name that no other engine has, in this process or another.
fn instance() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// What an engine needs to start.
pub(crate) struct Parts {
    pub(crate) consumer: Box<dyn Consumer>,
    pub(crate) config: EngineConfig,
    pub(crate) group: GroupServices,
    pub(crate) routes: Routes,
    pub(crate) spawner: Spawner,
    pub(crate) monitor: Arc<Monitor>,
    /// Makes the client that reads retry topics: a member of no group, which commits to `{group}.retry`.
    pub(crate) retry_consumer: MakeConsumer,
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
            fenced: None,
            heard_at: None,
            group_asked_at: None,
            watched_at: None,
            corrupt: Corrupt::default(),
            retries: None,
            retry_consumer: parts.retry_consumer,
            instance: instance(),
            out_of_range: None,
            stored_at: None,
            store_error: None,
            asked_at: None,
        };
        (engine, send)
    }

    /// First half of a round: takes commands, then records or one event of the group.
    pub(crate) fn poll(&mut self, now: Instant) {
        // Before anything of the past is looked at: it may be another member's by now.
        self.beat(now);
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
            Polled::Assigned(partitions) => {
                self.heard_at = Some(now);
                self.assigned(partitions);
            }
            Polled::Revoked(partitions) => {
                self.heard_at = Some(now);
                self.revoked(partitions, now);
            }
            Polled::Lost(partitions) => self.lost(&partitions),
            Polled::Committed(offsets) => self.committed(&offsets, now),
            Polled::Fenced(error) => self.commit_refused(&error, now),
            Polled::Error(error @ ClientError::Corrupt(_)) => self.batch_unreadable(error, now),
            Polled::Error(ClientError::OffsetOutOfRange(text)) => self.out_of_range(text, now),
            Polled::Error(error) => self.client_error(error),
        }
        self.poll_retries(now);
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
        // It may have been suspended while it polled; what was finished before must not be stored then.
        self.beat(now);
        self.retired.retain(|state| !state.is_over());
        if self.group.failed.is_set() {
            self.stop(now);
        }
        self.answer_assign();
        self.answer_revoke(now);
        for index in 0..self.dispatch.partitions.len() {
            self.seek(index);
        }
        self.advance_retries(now);
        self.try_suspects(now);
        self.look_for_range(now);
        self.look_for_group(now);
        self.trust_again(now);
        if self.stopping.is_none() {
            self.balance();
        }
        self.watch_calls(now);
        if self
            .stored_at
            .is_none_or(|at| now.duration_since(at) >= STORE_INTERVAL)
        {
            self.stored_at = Some(now);
            self.store();
            self.store_retries();
        }
        self.look_for_brokers(now);
        self.is_stopped(now)
    }

    fn beat(&mut self, now: Instant) {
        match self.group.pulse.beat(now) {
            Beat::InTime => {}
            Beat::Close => self.all_partitions().for_each(Assigned::wake),
            Beat::Late(gap) => self.suspect(Suspicion::Suspended(gap), now),
        }
    }

    /// True while a partition holds a lot only because its lanes are short of processor time. Polling on would not
    /// make them faster, and a pause would throw prefetched records away: a moment's wait is better.
    pub(crate) fn is_ahead(&self) -> bool {
        let share = self.share();
        let mut reading = self.dispatch.partitions.iter();
        reading.any(|p| p.is_ahead(share))
    }

    /// Waits no more for the lanes that are behind: they may not come back at all, and the other partitions need not wait for
    /// that.
    pub(crate) fn give_up_waiting(&mut self) {
        let share = self.share();
        for partition in &mut self.dispatch.partitions {
            if partition.is_ahead(share) {
                partition.patience = Patience::IsOver;
            }
        }
    }

    /// Returns what each partition that is read may hold, retry topics among them.
    pub(super) fn share(&self) -> Share {
        let sources = self.dispatch.partitions.iter().map(Assigned::load);
        let parked = self.retries.iter().flat_map(Retries::loads);
        let loads: Vec<_> = sources.chain(parked).collect();
        self.config.budget.share(&loads)
    }

    fn is_watching(&self) -> bool {
        self.revoking.is_some()
            || self.stopping.is_some()
            || self.assigning.is_some()
            || self.dispatch.partitions.iter().any(|p| p.is_full)
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            // Lanes that are started now would never be told to stop.
            Command::Routes(_) if self.stopping.is_some() => {}
            Command::Routes(routes) => self.set_routes(routes),
            Command::Pause(topic) => self.pause(topic),
            Command::Resume(topic) => self.resume(&topic),
            Command::Stop => self.stop(now),
        }
    }

    fn set_routes(&mut self, routes: Routes) {
        self.routes = routes;
        self.need_retries();
        let subscription = self.routes.subscription();
        self.monitor.set_topics(subscription.clone());
        if let Err(error) = self.consumer.subscribe(&subscription) {
            // A pattern that the client does not take, for one. It would wait for ever, and say nothing.
            let text = format!("cannot subscribe to {}: {error}", subscription.join(", "));
            self.client_error(ClientError::Settings(text));
        }
        for index in 0..self.dispatch.partitions.len() {
            let partition = &self.dispatch.partitions[index];
            let Some(handler) = self.routes.of_topic(&partition.state.at.topic) else {
                // The group takes it back soon; its handler is gone now.
                partition.state.drain(None);
                partition.wake();
                continue;
            };
            let at = &partition.state.at;
            let is_leaving = self
                .revoking
                .as_ref()
                .is_some_and(|r| r.partitions.contains(at));
            if !Arc::ptr_eq(handler, &partition.handler) && !is_leaving {
                self.begin_again(index);
            }
        }
        self.publish();
    }

    /// Begins a new epoch of a partition that stays assigned, from the first unfinished record on: it has another handler, or
    /// its retry topics are to be taken over again.
    pub(super) fn begin_again(&mut self, index: usize) {
        let old = &self.dispatch.partitions[index];
        let (at, lanes) = (old.state.at.clone(), old.lanes.len());
        // Before the store: what is acked in between would be in neither.
        old.state.fence();
        old.wake();
        self.store();
        let old = &self.dispatch.partitions[index];
        let resume_at = old.state.committable().or_else(|| old.state.stored());
        self.retired.push(Arc::clone(&old.state));
        self.close_retries(
            std::slice::from_ref(&at),
            true,
            tokio::time::Instant::now().into_std(),
        );
        if let Some(mut new) = self.start_partition(&at, lanes) {
            let old = &self.dispatch.partitions[index];
            // The client still has it paused; `balance` and `resume` know why only from here.
            (new.is_full, new.is_paused) = (old.is_full, old.is_paused);
            new.must_seek = Some(resume_at.map_or(Position::Beginning, Position::At));
            if let Some(offset) = old.state.stored() {
                new.state.set_stored(offset);
            }
            if let Some(offset) = old.state.committed() {
                new.state.set_committed(offset);
            }
            if let Some(parking) = new.parking.clone() {
                self.open_retries(&at, resume_at, lanes, parking);
                self.report(|consumer| consumer.pause(std::slice::from_ref(&at)));
            }
            self.dispatch.partitions[index] = new;
            self.seek(index);
        }
    }

    /// Moves a partition back to where its new handler begins. Until that has worked, its records are not looked at:
    /// they are behind those that the old handler left unfinished.
    pub(super) fn seek(&mut self, index: usize) {
        let partition = &self.dispatch.partitions[index];
        let Some(target) = partition.must_seek else {
            return;
        };
        let at = partition.state.at.clone();
        let sought = match target {
            Position::At(offset) => self.consumer.seek(&at, offset),
            Position::Beginning => self
                .consumer
                .watermarks(&at, COMMITTED_TIMEOUT)
                .and_then(|(oldest, _)| self.consumer.seek(&at, oldest)),
        };
        match sought {
            Ok(()) => self.dispatch.partitions[index].must_seek = None,
            Err(error) => self.client_error(error),
        }
    }

    pub(super) fn start_partition(
        &mut self,
        at: &TopicPartition,
        lanes: usize,
    ) -> Option<Assigned> {
        let handler = Arc::clone(self.routes.of_topic(&at.topic)?);
        self.epoch += 1;
        let epoch = Epoch(self.epoch);
        let parking = self.parking_of(at, epoch);
        let after = self.earlier(at, parking.as_ref());
        let parking = parking.map(|parking| LaneParking { parking, stage: 0 });
        let new = NewPartition {
            at: at.clone(),
            epoch,
            lanes,
            handler: &handler,
            after: &after,
            parking: parking.as_ref(),
        };
        Some(Assigned::start(new, &self.group, &self.spawner))
    }

    /// Returns the earlier assignments of a partition, and of its retry topics, whose calls may still run.
    pub(super) fn earlier(
        &self,
        at: &TopicPartition,
        parking: Option<&Arc<Parking>>,
    ) -> Vec<Arc<PartitionState>> {
        let is_theirs = |old: &TopicPartition| {
            let mut topics = parking.into_iter().flat_map(|parking| &parking.topics);
            old.partition == at.partition
                && (old.topic == at.topic || topics.any(|(topic, _)| *topic == old.topic))
        };
        let retired = self.retired.iter();
        let running = retired.filter(|old| !old.is_over() && is_theirs(&old.at));
        running.cloned().collect()
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
        partitions.retain(|at| !self.is_held_back(at));
        self.report(|consumer| consumer.resume(&partitions));
        self.publish();
    }

    /// Fetches again from those of these partitions that nothing else keeps paused.
    pub(super) fn resume_free(&mut self, of: impl Fn(&TopicPartition) -> bool) {
        let partitions = self.dispatch.partitions.iter();
        let free = partitions.filter(|p| {
            of(&p.state.at) && !p.is_paused && !p.is_full && !self.is_held_back(&p.state.at)
        });
        let free: Vec<_> = free.map(|p| p.state.at.clone()).collect();
        self.report(|consumer| consumer.resume(&free));
    }

    pub(super) fn report(
        &mut self,
        call: impl FnOnce(&mut dyn Consumer) -> Result<(), ClientError>,
    ) {
        if let Err(error) = call(&mut *self.consumer) {
            self.client_error(error);
        }
    }

    /// Reports what was dealt with.
    pub(super) fn client_warning(&self, error: &ClientError) {
        self.group.observers.emit(&Event::ClientError {
            group_id: &self.group.group_id,
            error,
        });
    }

    /// Reports an error; one that no waiting can mend ends the run.
    pub(super) fn client_error(&mut self, error: ClientError) {
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

    /// The group took note of offsets.
    fn committed(&mut self, offsets: &[(TopicPartition, Offset)], now: Instant) {
        for (at, offset) in offsets {
            if let Some(partition) = self.dispatch.find(at) {
                partition.state.set_committed(*offset);
            }
        }
        self.heard_at = Some(now);
    }

    /// Hands advanced offsets to the client.
    pub(super) fn store(&mut self) {
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
        let share = self.share();
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for partition in &mut self.dispatch.partitions {
            let load = partition.load();
            if !share.is_much(load) {
                partition.patience = Patience::Waits;
            }
            if !partition.is_full
                && share.is_reached(load)
                && !mutant::is_active(Mutant::NeverPause)
            {
                partition.is_full = true;
                if !partition.is_paused {
                    pause.push(partition.state.at.clone());
                }
                self.group.observers.emit(&Event::Paused {
                    partition: &partition.state.at,
                    in_flight: load.records,
                    bytes: load.bytes,
                });
            } else if partition.is_full
                && share.is_relieved(load)
                && !mutant::is_active(Mutant::NeverResume)
            {
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
        resume.retain(|at| !self.is_held_back(at));
        if !resume.is_empty() {
            self.report(|consumer| consumer.resume(&resume));
            self.wake_fetcher(&resume);
        }
        self.publish();
    }

    /// Puts resumed partitions where they are. librdkafka 2.12 wakes the thread that fetches for a seek, but not for a
    /// resume: with everything paused it sleeps on for up to a second (`rd_kafka_toppar_pause_resume`).
    fn wake_fetcher(&mut self, resumed: &[TopicPartition]) {
        for index in 0..self.dispatch.partitions.len() {
            let partition = &mut self.dispatch.partitions[index];
            if let Some(next) = partition.next_offset
                && partition.must_seek.is_none()
                && resumed.contains(&partition.state.at)
            {
                partition.must_seek = Some(Position::At(next));
                self.seek(index);
            }
        }
    }

    /// Shows the partitions to whoever asks.
    pub(super) fn publish(&self) {
        let partitions = self
            .dispatch
            .partitions
            .iter()
            .map(|p| Shown {
                state: Arc::clone(&p.state),
                handler: Arc::clone(&p.handler),
                is_paused: p.is_paused || p.is_full,
                is_quarantined: p.is_quarantined,
            })
            .collect();
        self.monitor
            .set_partitions(partitions, self.fenced.is_some());
    }
}

/// Runs an engine on this thread until it is told to stop, or must; then leaves the group.
pub(crate) fn run(mut engine: Engine) {
    let failed = Arc::clone(&engine.group.failed);
    let group_id = engine.group.group_id.to_string();
    let monitor = Arc::clone(&engine.monitor);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        loop {
            engine.poll(Instant::now());
            let until = Instant::now() + LONGEST_WAIT;
            while engine.is_ahead() {
                if Instant::now() >= until {
                    engine.give_up_waiting();
                    break;
                }
                std::thread::sleep(WAIT_STEP);
            }
            if engine.advance(Instant::now()) {
                break;
            }
        }
    }));
    close(engine);
    let result = match ended {
        Ok(()) => failed.take().map_or(Ok(()), Err),
        Err(panic) => Err(RunError::Panicked {
            group_id,
            text: panic_text(&*panic).unwrap_or_default(),
        }),
    };
    monitor.end(result);
}
