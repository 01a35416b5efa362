//! Puts dead letters back.
//!
//! A record that was given up lies in its dead letter topic until somebody has mended what it failed on. [`Redrive`] then
//! produces it to the topic that it came from, with the same key, value and headers, where its handler, and every
//! other group of that topic, receives it again.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use kafka_core::Config;
//! use kafka_core::redrive::Redrive;
//!
//! let redrive = || Redrive::new("billing.orders.dlq").config(Config::new().bootstrap_servers("localhost:9092"));
//! println!("{}", redrive().dry_run(true).run().await?);       // look,
//! println!("{}", redrive().limit(10).run().await?);           // try with a few,
//! let report = redrive().run().await?;                        // and with the rest
//! assert!(report.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! # What is read
//!
//! From the position of the group `{dead letter topic}.redrive` to where each partition ended when the run began. What
//! arrives meanwhile, also a record that fails again, is left to the next run: there is no endless loop. The group's name
//! begins as the dead letter topic's does, with the service's group, so that one ACL with that prefix covers both.
//!
//! The position moves to one past the last record that was put back, if nothing before it was skipped or failed. So a
//! plain run that is repeated puts back nothing twice, while a run with a filter leaves the position at the first
//! record that it skipped, and repeated puts the same records back again; give it a group of its own, or
//! [`advance`](Redrive::advance). A refused record that lies before one that was put back is passed; it stays in the topic, and
//! [`start`](Redrive::start) reaches it.
//!
//! # What is promised
//!
//! At least once: a record counts as put back when the broker has acknowledged it, with all in-sync replicas, and only then
//! the position is committed. A crash in between puts it back twice and loses nothing. So do two runs at the same time:
//! they do not know of each other.
//!
//! Key, value and headers are the same bytes. Headers of the dead letter are taken away, and one is added or replaced:
//! [`COUNT_HEADER`], how often the record was put back. One that was put back [`max_redrives`](Redrive::max_redrives) times
//! and failed again is refused. The timestamp is that of the run, since an old one could be past the topic's retention
//! already.
//!
//! A record goes to the partition that it came from, whatever partitioner its producer had: there lie the other records
//! of its key. Records of one partition of the dead letter topic are put back in their order.
//!
//! # What is trusted
//!
//! Where a record came from is said by headers, and whoever may write to the dead letter topic could have written those.
//! They are believed where the name of the topic says the same: `{group}.{topic}.dlq`. Otherwise the record is refused,
//! unless the caller [allows the origin](Redrive::allow_origin) or [names the destination](Redrive::to).

mod error;
mod judge;
mod letter;
mod pass;
mod position;
mod refusal;
mod report;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

pub use self::error::RedriveError;
pub use self::letter::COUNT_HEADER;
pub use self::refusal::Refusal;
pub use self::report::{RedriveKind, RedrivePartition, RedriveReport};

use self::judge::{Filter, Rules};
use self::pass::{Plan, Progress};
use crate::client::factory::{ClientFactory, factory};
use crate::config::{Config, GroupProtocol, MissingTopics};
use crate::outcome::FailureKind;
use crate::record::Offset;
use crate::runtime::connect::{blocking, cluster};
use crate::start::is_topic_name;

/// How often a record is put back, unless told otherwise.
const MAX_REDRIVES: u32 = 3;
/// What a busy broker may take between two records.
const IDLE: Duration = Duration::from_secs(10);
/// Between two calls of whoever wants to know how far it is.
const PROGRESS: Duration = Duration::from_secs(1);

/// Where a run begins in each partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedriveStart {
    /// Where the last run left off; the oldest record if there was none. The default.
    #[default]
    Position,
    /// At the oldest record, also those that were put back before.
    Oldest,
    /// At this offset; needs exactly one [`partition`](Redrive::partition).
    At(Offset),
}

/// Puts the records of one dead letter topic back; see [the module](self).
#[must_use = "nothing is put back before `run`"]
pub struct Redrive {
    topic: Arc<str>,
    /// Boxed: it is large, and would be several times in the future of whoever awaits a run.
    config: Option<Box<Config>>,
    group_id: Option<String>,
    partitions: Vec<i32>,
    start: RedriveStart,
    end: Option<Offset>,
    limit: Option<u64>,
    is_dry_run: bool,
    advances: bool,
    filter: Filter,
    to: Option<String>,
    allowed_origins: Vec<String>,
    max_redrives: u32,
    progress: Option<Progress>,
    idle: Duration,
    every: Duration,
}

impl Redrive {
    /// Begins to describe a run over this dead letter topic.
    pub fn new(dead_letter_topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: dead_letter_topic.into(),
            config: None,
            group_id: None,
            partitions: Vec::new(),
            start: RedriveStart::Position,
            end: None,
            limit: None,
            is_dry_run: false,
            advances: false,
            filter: Filter::default(),
            to: None,
            allowed_origins: Vec::new(),
            max_redrives: MAX_REDRIVES,
            progress: None,
            idle: IDLE,
            every: PROGRESS,
        }
    }

    /// Sets where the brokers are. Default: [`Config::from_env`]. Its group id is not used.
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(Box::new(config));
        self
    }

    /// Sets the consumer group that keeps the position. Default: `{dead letter topic}.redrive`.
    pub fn group_id(mut self, id: impl Into<String>) -> Self {
        self.group_id = Some(id.into());
        self
    }

    /// Says whether to read and report only: nothing is produced, nothing is committed.
    pub fn dry_run(mut self, on: bool) -> Self {
        self.is_dry_run = on;
        self
    }

    /// Sets how many records are put back at most.
    pub fn limit(mut self, records: u64) -> Self {
        self.limit = Some(records);
        self
    }

    /// Reads this partition; called several times, these. Default: all.
    pub fn partition(mut self, partition: i32) -> Self {
        self.partitions.push(partition);
        self
    }

    /// Sets where to begin.
    pub fn start(mut self, start: RedriveStart) -> Self {
        self.start = start;
        self
    }

    /// Sets the offset before which to end; needs exactly one [`partition`](Self::partition).
    pub fn end(mut self, offset: Offset) -> Self {
        self.end = Some(offset);
        self
    }

    /// Wants only what became a dead letter at this time or later.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.filter.since = Some(time);
        self
    }

    /// Wants only what became a dead letter before this time.
    pub fn until(mut self, time: SystemTime) -> Self {
        self.filter.until = Some(time);
        self
    }

    /// Wants only what failed for this reason; called several times, for one of these.
    pub fn class(mut self, class: FailureKind) -> Self {
        self.filter.classes.push(class);
        self
    }

    /// Wants only what this handler gave up; called several times, one of these.
    pub fn handler(mut self, name: impl Into<String>) -> Self {
        self.filter.handlers.push(name.into());
        self
    }

    /// Wants only what comes from this topic; called several times, from one of these. It says what is wanted, not what is
    /// trusted: see [`allow_origin`](Self::allow_origin).
    pub fn origin(mut self, topic: impl Into<String>) -> Self {
        self.filter.origins.push(topic.into());
        self
    }

    /// Puts every record into this topic, chosen partition by the key, whatever its headers say.
    pub fn to(mut self, topic: impl Into<String>) -> Self {
        self.to = Some(topic.into());
        self
    }

    /// Believes records that say that they come from this topic, though the dead letter topic's name does not; may be
    /// called several times.
    pub fn allow_origin(mut self, topic: impl Into<String>) -> Self {
        self.allowed_origins.push(topic.into());
        self
    }

    /// Sets how often a record may be put back. Default 3.
    pub fn max_redrives(mut self, times: u32) -> Self {
        self.max_redrives = times;
        self
    }

    /// Says whether the position moves past skipped and refused records too, which then are left for good.
    pub fn advance(mut self, on: bool) -> Self {
        self.advances = on;
        self
    }

    /// Sets what is called about every second with the report so far, on the thread that reads.
    pub fn on_progress(mut self, progress: impl FnMut(&RedriveReport) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Puts records back until the end.
    ///
    /// # Errors
    /// See [`RedriveError`]. A refused record is no error: look at [`RedriveReport::is_clean`].
    ///
    /// # Cancellation
    /// Dropped before its end it is told to stop; what is sent may be put back again by the next run, nothing is lost.
    pub async fn run(self) -> Result<RedriveReport, RedriveError> {
        self.run_until(std::future::pending()).await
    }

    /// Puts records back until the end, or until the future ends: then what is sent is waited for, for 2 s, and committed.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancellation
    /// As [`run`](Self::run).
    pub async fn run_until(
        mut self,
        stop: impl Future<Output = ()>,
    ) -> Result<RedriveReport, RedriveError> {
        let config = match self.config.take() {
            Some(config) => *config,
            None => Config::from_env()?,
        };
        let config = for_one_reader(config);
        config.validate()?;
        let factory = factory(&config);
        // For the same reason.
        Box::pin(self.run_with(&config, factory, stop)).await
    }

    async fn run_with(
        self,
        config: &Config,
        factory: Arc<dyn ClientFactory>,
        stop: impl Future<Output = ()>,
    ) -> Result<RedriveReport, RedriveError> {
        let plan = self.into_plan()?;
        tokio::pin!(stop);
        let cluster = tokio::select! {
            () = &mut stop => return Ok(RedriveReport {
                dead_letter_topic: plan.rules.dead_letter_topic,
                group_id: plan.group_id,
                is_dry_run: plan.is_dry_run,
                is_stopped: true,
                ..RedriveReport::default()
            }),
            cluster = cluster(config, &factory) => cluster?,
        };
        let token = CancellationToken::new();
        // Dropping this future stops the thread.
        let _stops = token.clone().drop_guard();
        let stopped = token.clone();
        let pass = blocking(move || Ok(pass::run(plan, &*factory, cluster, stopped)));
        tokio::pin!(pass);
        let ended = tokio::select! {
            biased;
            ended = &mut pass => ended,
            () = &mut stop => {
                token.cancel();
                pass.await
            }
        };
        ended.unwrap_or_else(|source| {
            Err(RedriveError::Client {
                doing: "go on".to_owned(),
                source,
                report: None,
            })
        })
    }

    /// Checks what can be checked without a network.
    fn into_plan(self) -> Result<Plan, RedriveError> {
        let names = self.allowed_origins.iter().chain(&self.to);
        for name in names.map(String::as_str).chain([&*self.topic]) {
            if !is_topic_name(name) {
                let problem = format!("{name:?} is no topic name");
                return Err(RedriveError::Options(problem));
            }
        }
        let mut destinations = self.allowed_origins.iter().chain(&self.to);
        if destinations.any(|topic| **topic == *self.topic) {
            return Err(RedriveError::IntoItself(self.topic));
        }
        let has_offsets = self.end.is_some() || matches!(self.start, RedriveStart::At(_));
        if has_offsets && self.partitions.len() != 1 {
            return Err(RedriveError::Options(
                "offsets are those of one partition: name it with --partition (`partition`)"
                    .to_owned(),
            ));
        }
        let group_id = self
            .group_id
            .unwrap_or_else(|| format!("{}.redrive", self.topic));
        Ok(Plan {
            rules: Rules {
                dead_letter_topic: self.topic,
                filter: self.filter,
                to: self.to.map(Arc::from),
                allowed_origins: self.allowed_origins,
                max_redrives: self.max_redrives,
                implied: Vec::new(),
            },
            group_id: group_id.into(),
            partitions: self.partitions,
            start: self.start,
            end: self.end,
            limit: self.limit,
            is_dry_run: self.is_dry_run,
            advances: self.advances,
            progress: self.progress,
            idle: self.idle,
            every: self.every,
        })
    }
}

impl fmt::Debug for Redrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redrive")
            .field("topic", &self.topic)
            .field("is_dry_run", &self.is_dry_run)
            .finish_non_exhaustive()
    }
}

/// It reads what it names and is no member of a group, so a static member's id, which a broker would look for with
/// every commit, and the protocol of joining are not for it. No topic is created by being asked for.
fn for_one_reader(mut config: Config) -> Config {
    config.group_instance_id = None;
    config.group_protocol = GroupProtocol::Classic;
    config.missing_topics = MissingTopics::Fail;
    config
}
