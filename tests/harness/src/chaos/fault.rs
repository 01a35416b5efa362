//! What is done to workers, brokers and the network, and when.

use std::fmt;
use std::time::Duration;

/// One thing that is done, at once. What undoes it is a fault of its own, so that a schedule is a flat list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9` of a worker. The number chooses one of those that run.
    Kill(u64),
    /// SIGTERM of a worker.
    Terminate(u64),
    /// One more worker.
    Join,
    /// SIGTERM of all workers, and a wait until they have ended.
    TerminateAll,
    /// SIGSTOP of a worker.
    Suspend(u64),
    /// SIGSTOP of all workers.
    SuspendAll,
    /// SIGCONT of all that are suspended.
    Resume,
    /// `kill -9` of brokers.
    KillBrokers(Brokers),
    /// All brokers that are down start again.
    StartBrokers,
    /// The way between the workers and the brokers.
    Network(Network),
    /// The network is as it should be.
    HealNetwork,
    /// Nobody may write to the dead letter topics.
    DenyDeadLetters,
    /// Everybody may.
    AllowDeadLetters,
    /// Of what is not committed, most is deleted, as retention does with old records.
    DeleteRecords,
}

/// What is wrong between the workers and the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Everything arrives later, both ways.
    Delay(Duration),
    /// Nothing of one broker arrives; what is sent to it does. The number chooses the broker.
    Deaf(u64),
    /// The same for all brokers.
    AllDeaf,
    /// Nothing that is sent to any broker arrives.
    AllMute,
    /// Connections are reset after half a second to a second and a half; the number is a seed.
    Resets(u64),
    /// Requests of a kind, and what follows them on their connection, wait.
    Hold(Request),
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Fetch,
    Commit,
    Heartbeat,
    JoinGroup,
    Produce,
}

/// Which brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brokers {
    /// The leader of partition 0 of the first topic.
    Leader,
    /// The coordinator of the group.
    Coordinator,
    All,
}

impl Fault {
    /// True if it needs to know which brokers run.
    pub(crate) fn is_of_brokers(self) -> bool {
        matches!(self, Self::KillBrokers(_) | Self::StartBrokers)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill(_) => "kill",
            Self::Terminate(_) => "terminate",
            Self::Join => "join",
            Self::TerminateAll => "terminate all",
            Self::Suspend(_) => "suspend",
            Self::SuspendAll => "suspend all",
            Self::Resume => "resume",
            Self::KillBrokers(Brokers::Leader) => "kill leader",
            Self::KillBrokers(Brokers::Coordinator) => "kill coordinator",
            Self::KillBrokers(Brokers::All) => "kill all brokers",
            Self::StartBrokers => "start brokers",
            Self::Network(Network::Delay(_)) => "delay",
            Self::Network(Network::Deaf(_)) => "cut from a broker",
            Self::Network(Network::AllDeaf) => "cut from all brokers",
            Self::Network(Network::AllMute) => "cut to all brokers",
            Self::Network(Network::Resets(_)) => "resets",
            Self::Network(Network::Hold(Request::Fetch)) => "hold fetch",
            Self::Network(Network::Hold(Request::Commit)) => "hold commit",
            Self::Network(Network::Hold(Request::Heartbeat)) => "hold heartbeat",
            Self::Network(Network::Hold(Request::JoinGroup)) => "hold join",
            Self::Network(Network::Hold(Request::Produce)) => "hold produce",
            Self::HealNetwork => "heal network",
            Self::DenyDeadLetters => "deny dead letters",
            Self::AllowDeadLetters => "allow dead letters",
            Self::DeleteRecords => "delete records",
        })
    }
}

/// A fault and when it is due, from the time when the workers have their partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
}

/// The faults of a scenario in the order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule(pub(crate) Vec<Planned>);

impl Schedule {
    pub(crate) fn add(&mut self, at_ms: u64, fault: Fault) {
        let at = Duration::from_millis(at_ms);
        let place = self.0.partition_point(|planned| planned.at <= at);
        self.0.insert(place, Planned { at, fault });
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, planned) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(
                f,
                "{comma}{:.1} s {}",
                planned.at.as_secs_f32(),
                planned.fault
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Schedule};

    #[test]
    fn a_schedule_is_in_the_order_of_time() {
        let mut schedule = Schedule::default();

        schedule.add(2000, Fault::Join);
        schedule.add(500, Fault::Kill(3));
        schedule.add(2000, Fault::Resume);

        assert_eq!(schedule.to_string(), "0.5 s kill, 2.0 s join, 2.0 s resume");
    }
}
