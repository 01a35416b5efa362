//! A member of a group of the broker in memory: the engine's side of it.

use std::time::Duration;

use super::{Header, MemberId, MemberState, MemoryBroker};
use crate::client::{Cluster, Consumer, Polled, Position, RecordSink};
use crate::error::ClientError;
use crate::record::{HeaderSource, Offset, RawRecord, Timestamp, TopicPartition, VisitHeader};

struct Lent<'a>(&'a [Header]);

impl HeaderSource for Lent<'_> {
    fn each(&self, visit: &mut VisitHeader<'_>) {
        for (name, value) in self.0 {
            visit(name.as_bytes(), value.as_deref());
        }
    }
}

pub(super) struct Member {
    broker: MemoryBroker,
    id: MemberId,
}

impl Member {
    pub(super) fn new(broker: MemoryBroker, id: MemberId) -> Self {
        Self { broker, id }
    }

    fn with<T>(&self, change: impl FnOnce(&mut MemberState) -> T) -> T {
        change(&mut self.broker.state().members[self.id.0])
    }

    /// Fails as long as questions are to fail.
    fn ask(&self) -> Result<(), ClientError> {
        self.broker.state().questions += 1;
        self.with(|member| member.faults.questions.clone())
            .map_or(Ok(()), Err)
    }
}

impl Consumer for Member {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        self.with(|member| member.subscription = topics.to_vec());
        Ok(())
    }

    fn poll(&mut self, _: Duration, most: usize, sink: &mut dyn RecordSink) -> Polled {
        let mut state = self.broker.state();
        let state = &mut *state;
        let member = &mut state.members[self.id.0];
        if let Some(mut event) = member.events.pop_front() {
            if let Polled::Lost(partitions) = &mut event {
                // What it took over after it was told is lost, too.
                *partitions = member.positions.keys().cloned().collect();
            }
            match event {
                Polled::Fenced(_) => member.is_refused = true,
                Polled::Lost(_) | Polled::Assigned(_) => member.is_refused = false,
                _ => {}
            }
            return event;
        }
        if member.faults.is_cut_off {
            return Polled::Records;
        }
        let mut left = most.min(member.faults.most.unwrap_or(most));
        for (at, position) in &mut member.positions {
            if member.paused.contains(at) {
                continue;
            }
            let Some(log) = state.logs.get_mut(at) else {
                continue;
            };
            if *position < log.start {
                let text = format!("{at}: {position} is below {}", log.start);
                return Polled::Error(ClientError::OffsetOutOfRange(text));
            }
            let from = log
                .records
                .partition_point(|stored| stored.offset < *position);
            for stored in log.records[from..].iter().take(left) {
                if let Some((offset, times)) = &mut log.damaged
                    && *offset == stored.offset
                    && *times > 0
                {
                    // The client reads on behind it.
                    *times -= 1;
                    *position = stored.offset.next();
                    return Polled::Error(ClientError::Corrupt("as the test says".into()));
                }
                sink.record(&RawRecord {
                    topic: &at.topic,
                    partition: at.partition,
                    offset: stored.offset,
                    timestamp: Timestamp::CreateTime(stored.timestamp_ms),
                    key: stored.key.as_deref(),
                    value: stored.value.as_deref(),
                    headers: &Lent(&stored.headers),
                });
                *position = stored.offset.next();
                left -= 1;
                if sink.is_full() {
                    return Polled::Records;
                }
            }
        }
        Polled::Records
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        _: Duration,
    ) -> Result<Vec<Option<Offset>>, ClientError> {
        self.ask()?;
        let group_id = self.with(|member| member.group_id.clone());
        let committed = |at| self.broker.committed(&group_id, at);
        Ok(partitions.iter().map(committed).collect())
    }

    fn watermarks(
        &mut self,
        of: &TopicPartition,
        timeout: Duration,
    ) -> Result<(Offset, Offset), ClientError> {
        self.ask()?;
        if self.with(|member| member.faults.is_cut_off) {
            return Err(ClientError::TimedOut(of.to_string()));
        }
        self.broker.ends(of, timeout)
    }

    fn is_eager(&self) -> bool {
        self.with(|member| member.is_eager)
    }

    fn assign(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), ClientError> {
        let mut state = self.broker.state();
        let state = &mut *state;
        let member = &mut state.members[self.id.0];
        let answer = partitions.iter().map(|(at, _)| at.clone()).collect();
        member.answers.push(answer);
        // An assignment by hand, without a subscription, is the whole one, too.
        let is_whole = member.is_eager || member.subscription.is_empty();
        if is_whole {
            // What is not in it is unassigned.
            member.positions.clear();
            let removed = |at: &TopicPartition| !partitions.iter().any(|(kept, _)| kept == at);
            let _ = state.commit(self.id, removed);
        }
        let member = &mut state.members[self.id.0];
        member
            .stored
            .retain(|at, _| partitions.iter().any(|(kept, _)| kept == at) || !is_whole);
        for (at, position) in partitions {
            let offset = match position {
                Position::Beginning => state.logs.get(at).map_or(Offset(0), |log| log.start),
                Position::At(offset) => *offset,
            };
            member.paused.remove(at);
            member.positions.insert(at.clone(), offset);
        }
        Ok(())
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let mut state = self.broker.state();
        let member = &mut state.members[self.id.0];
        for at in partitions {
            member.positions.remove(at);
            member.paused.remove(at);
            member.unassigned.push(at.clone());
        }
        // What cannot be committed now never is: the partition is another member's.
        let _ = state.commit(self.id, |at| partitions.contains(at));
        let member = &mut state.members[self.id.0];
        member.stored.retain(|at, _| !partitions.contains(at));
        member.is_lost = false;
        Ok(())
    }

    fn seek(&mut self, to: &TopicPartition, offset: Offset) -> Result<(), ClientError> {
        self.with(|member| {
            if member.faults.seeks {
                return Err(ClientError::Other("seek refused".into()));
            }
            member.positions.insert(to.clone(), offset);
            member.is_refused = false;
            Ok(())
        })
    }

    fn restart(
        &mut self,
        partitions: &[(TopicPartition, Offset)],
        _: &[(TopicPartition, Position)],
    ) -> Result<(), ClientError> {
        self.with(|member| member.positions.extend(partitions.iter().cloned()));
        Ok(())
    }

    fn store(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<(), ClientError> {
        self.with(|member| {
            for (at, offset) in offsets {
                if !member.positions.contains_key(at) {
                    return Err(ClientError::NotAMember(at.to_string()));
                }
                member.stored.insert(at.clone(), *offset);
            }
            Ok(())
        })
    }

    fn commit(&mut self) -> Result<(), ClientError> {
        // A refusal is not told either.
        let mut state = self.broker.state();
        let _ = state.commit_untold(self.id, |_| true);
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.with(|member| member.paused.extend(partitions.iter().cloned()));
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.with(|member| {
            for at in partitions {
                member.paused.remove(at);
            }
        });
        Ok(())
    }

    fn is_reachable(&mut self, _: Duration) -> bool {
        !self.with(|member| member.faults.is_cut_off)
    }

    fn take_unreadable_headers(&mut self) -> Vec<(TopicPartition, Offset, usize)> {
        Vec::new()
    }

    fn close(self: Box<Self>) {
        let mut state = self.broker.state();
        let _ = state.commit(self.id, |_| true);
        let member = &mut state.members[self.id.0];
        member.positions.clear();
        member.is_closed = true;
    }
}

impl Drop for Member {
    /// A client that is dropped without a close is a process that was killed.
    fn drop(&mut self) {
        self.with(|member| member.is_closed = true);
    }
}
