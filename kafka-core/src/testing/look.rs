//! What a test sees of its runtime: offsets, records, calls, and a report of it all.

use std::fmt::{self, Write as _};

use super::by_hand::misuse;
use super::group::TestGroup;
use super::journal::{Handled, Parked, Retried, Skipped, TestEvent};
use super::member::Member;
use super::record::{DeadLetter, TestRecord};
use super::runtime::TestRuntime;
use crate::engine::monitor::GroupState;
use crate::error::RunError;
use crate::producer::KafkaProducer;
use crate::record::TopicPartition;
use crate::runtime::Control;

/// Events in a report.
const REPORTED: usize = 60;

/// Looking at what happened.
impl TestRuntime {
    /// Returns the committed offset of a partition: the next one that a restart reads. `None` before the first commit.
    ///
    /// # Panics
    /// No handler reads the topic, or handlers of several groups do: say which, `test.in_group("g").committed(..)`.
    #[track_caller]
    pub fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        let member = self.the_reader(topic);
        self.committed_by(member, topic, partition)
    }

    pub(super) fn committed_by(&self, member: &Member, topic: &str, partition: i32) -> Option<i64> {
        let at = TopicPartition::new(topic, partition);
        let committed = self.brokers.memory().committed(&member.group_id, &at);
        committed.map(|offset| offset.0)
    }

    /// Returns the records of a topic, by partition and offset: what handlers and the test have written there. None if
    /// there is no such topic.
    pub fn records(&self, topic: &str) -> Vec<TestRecord> {
        self.brokers.records(topic)
    }

    /// Returns what was given up of a topic and written to a dead letter topic, of every group.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn dead_letters(&self, topic: &str) -> Vec<DeadLetter> {
        let mut letters = Vec::new();
        for member in self.readers(topic) {
            letters.extend(self.dead_letters_of(member, topic));
        }
        letters
    }

    pub(super) fn dead_letters_of(&self, member: &Member, topic: &str) -> Vec<DeadLetter> {
        let Some(handler) = member.routes.of_topic(topic) else {
            return Vec::new();
        };
        let dead = handler.dead_letter_topic(&member.group_id, topic);
        let letters = self.records(&dead).into_iter();
        let mut letters: Vec<_> = letters
            .filter_map(DeadLetter::read)
            .filter(|letter| letter.topic == topic && *letter.group == *member.group_id)
            .collect();
        for letter in &mut letters {
            let texts = self.journal.pick(|event| match event {
                TestEvent::DeadLettered {
                    record,
                    handler,
                    error,
                    ..
                } if *handler == letter.handler
                    && record.topic == letter.topic
                    && record.partition == letter.partition
                    && record.offset == letter.offset =>
                {
                    Some(error.clone())
                }
                _ => None,
            });
            if let Some(text) = texts.into_iter().next_back() {
                letter.error = text;
            }
        }
        letters
    }

    /// Returns the calls that ended well, in the order in which they ended.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn handled(&self, topic: &str) -> Vec<Handled> {
        self.readers(topic);
        self.journal.pick(|event| match event {
            TestEvent::Handled(call) if call.record.topic == topic => Some(call.clone()),
            _ => None,
        })
    }

    /// Returns the attempts that failed and were followed by another one, or will be.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn retried(&self, topic: &str) -> Vec<Retried> {
        self.readers(topic);
        self.journal.pick(|event| match event {
            TestEvent::Retried(call) if call.record.topic == topic => Some(call.clone()),
            _ => None,
        })
    }

    /// Returns the records that were written to a retry topic, once for each time.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn parked(&self, topic: &str) -> Vec<Parked> {
        self.readers(topic);
        self.journal.pick(|event| match event {
            TestEvent::Parked(parked) if parked.record.topic == topic => Some(parked.clone()),
            _ => None,
        })
    }

    /// Returns the records that were skipped, by their handler or by the policy `skip`.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn skipped(&self, topic: &str) -> Vec<Skipped> {
        self.readers(topic);
        self.journal.pick(|event| match event {
            TestEvent::Skipped(call) if call.record.topic == topic => Some(call.clone()),
            _ => None,
        })
    }

    /// Returns how many records of a topic were acked without a call, because their handler does not want them, of every
    /// group.
    ///
    /// # Panics
    /// No handler reads the topic.
    #[track_caller]
    pub fn filtered(&self, topic: &str) -> u64 {
        self.readers(topic);
        let records = self.journal.pick(|event| match event {
            TestEvent::Filtered {
                partition, records, ..
            } if *partition.topic == *topic => Some(*records),
            _ => None,
        });
        records.into_iter().sum()
    }

    /// Returns everything that happened, in order, restarts included.
    pub fn events(&self) -> Vec<TestEvent> {
        self.journal.all()
    }

    /// Returns the runtime's control: pause, resume, status, lag, shutdown. What it is told is done with the next
    /// [`idle`](Self::idle). A restart makes another.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Returns the producer that handlers take, for code under test that writes outside of any handler.
    pub fn producer(&self) -> KafkaProducer {
        self.producer.clone()
    }

    /// Returns why the runtime has ended by itself; `None` while it runs, or if it was told to stop.
    pub fn error(&self) -> Option<&RunError> {
        self.error.as_ref()
    }

    /// Looks at one of several groups.
    ///
    /// # Panics
    /// There is no such group.
    #[track_caller]
    pub fn in_group(&mut self, group_id: &str) -> TestGroup<'_> {
        let index = self
            .members
            .iter()
            .position(|member| *member.group_id == *group_id);
        match index {
            Some(index) => TestGroup::new(self, index),
            None => misuse(&format!(
                "there is no group {group_id:?}; there are {:?}",
                self.members
                    .iter()
                    .map(|member| &*member.group_id)
                    .collect::<Vec<_>>()
            )),
        }
    }

    /// Returns the groups that read a topic: at least one.
    #[track_caller]
    pub(super) fn readers(&self, topic: &str) -> Vec<&Member> {
        let readers: Vec<_> = self.members.iter().filter(|m| m.reads(topic)).collect();
        if readers.is_empty() {
            misuse(&format!(
                "no handler reads topic {topic:?}; the handlers read {:?}",
                self.control
                    .status()
                    .into_iter()
                    .flat_map(|group| group.topics)
                    .collect::<Vec<_>>()
            ));
        }
        readers
    }

    #[track_caller]
    fn the_reader(&self, topic: &str) -> &Member {
        let readers = self.readers(topic);
        if let [one] = readers[..] {
            return one;
        }
        let groups: Vec<_> = readers.iter().map(|member| &*member.group_id).collect();
        misuse(&format!(
            "topic {topic:?} is read by the groups {groups:?}: say which, test.in_group({:?})",
            groups[0]
        ))
    }
}

/// What happened, and where the groups are: for the message of an assertion. A test that panics prints it by itself.
impl fmt::Display for TestRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what happened (seconds of the test's clock):")?;
        self.journal.report(f, REPORTED)?;
        writeln!(f, "where it is:")?;
        for member in &self.members {
            let status = member.handle.status();
            write!(f, "  group {}: {:?}", status.group_id, status.state)?;
            if let Some(error) = &status.last_error {
                write!(f, ", {error}")?;
            }
            for partition in &status.partitions {
                let at = &partition.partition;
                let committed = self.brokers.memory().committed(&member.group_id, at);
                write!(f, "; {at}")?;
                match committed {
                    Some(offset) => write!(f, " committed {offset}")?,
                    None => f.write_str(" nothing committed")?,
                }
                if partition.in_flight > 0 {
                    write!(f, ", {} in flight", partition.in_flight)?;
                }
                if partition.is_paused {
                    f.write_str(", paused")?;
                }
            }
            if status.state == GroupState::Running && status.partitions.is_empty() {
                f.write_str("; no partitions")?;
            }
            f.write_char('\n')?;
        }
        if let Some(error) = &self.error {
            writeln!(f, "  it ended: {error}")?;
        }
        Ok(())
    }
}
