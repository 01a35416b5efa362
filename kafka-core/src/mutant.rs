//! Deliberate breakages: each is one rule of delivery left out, to prove that a checker sees it. A build without the
//! feature `simulation` has none of them.

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "simulation"),
    expect(unreachable_pub, reason = "public for the simulation")
)]
#[repr(u8)]
pub enum Mutant {
    /// Commits one past the highest finished record, whatever is unfinished below it.
    CommitHighestFinished = 1,
    /// Commits one too far.
    CommitOneTooFar,
    /// Takes a record that was received for one that is finished.
    CommitReceived,
    /// Calls of an epoch that has ended go on, and new ones are started.
    IgnoreFence,
    /// Records of one key do not wait for each other.
    DropKeyChain,
    /// Tries once more than it may.
    RetryOnceMore,
    /// A partition that comes back does not wait for the calls of its earlier assignment.
    IgnoreEarlierCalls,
    /// Finishes a record when its dead letter is sent, not when it is acknowledged.
    AckBeforeDeadLetter,
    /// Finishes a record although its dead letter was refused.
    ForgetRefusedDeadLetter,
    /// Finishes a record that panicked.
    AckPanics,
    /// Finishes a record that could not be decoded.
    AckUndecodable,
    /// Adds its headers to a dead letter beside those that are there.
    AppendHeaders,
    /// Gives partitions back without waiting for the calls that run.
    RevokeAtOnce,
    /// Gives partitions back without storing what was finished.
    RevokeWithoutStore,
    /// Answers a superseded revoke as if it still counted.
    AnswerSuperseded,
    /// Drops the calls that run when it is told to stop.
    StopAtOnce,
    /// Waits for the calls that run, however long they take.
    StopWithoutLimit,
    /// Records without a key wait for each other.
    ChainNullKeys,
    /// All keys of a partition share one chain.
    ChainWholePartition,
    /// Never pauses a partition, whatever waits.
    NeverPause,
    /// Never resumes a partition that it paused.
    NeverResume,
    /// Keeps the permit of a call that failed.
    LeakPermits,
    /// Handles and stores after a suspend as if nothing had happened.
    IgnoreSuspend,
    /// Takes a commit that was refused for a mishap.
    IgnoreRefusedCommit,
    /// Says nothing of a call that hangs.
    SilentWatchdog,
    /// Reads on behind a batch that cannot be read.
    SkipUnreadable,
    /// Lets later records of a parked key pass it.
    PassParkedKeys,
    /// Does not look which keys are parked when it takes a partition over.
    ForgetParkedKeys,
    /// Finishes a record when it is sent to its retry topic, not when that is acknowledged.
    AckBeforeParked,
    /// Takes every record of a retry topic for one that is still to be handled.
    HandleStaleParked,
    /// Feeds a handler that fails for every record.
    NoBreaker,
    /// Gives each record of a batch the verdict of the next one.
    ShiftVerdicts,
    /// Finishes a batch up to its last record, whatever failed in it.
    AckWholeBatch,
    /// Hands over an offset that is lower than the one before.
    CommitBack,
    /// Tells why a record could not be decoded in the parser's words, which quote it.
    QuoteValues,
    /// Believes what a record's own headers say of where it comes from.
    TrustHeaders,
    /// Takes a retry topic that says nothing for a while for one that is read through, whoever is away.
    ScanBySilence,
    /// Waits for the source to bring what a record of a retry topic says that it comes from, whatever that is.
    TrustParkedHeaders,
    /// Lets as many records follow a parked one as there are.
    ForgetFollowersBound,
}

#[cfg(feature = "simulation")]
mod active {
    use std::sync::atomic::{AtomicU8, Ordering};

    static ACTIVE: AtomicU8 = AtomicU8::new(0);

    /// Breaks a rule in this process from now on, or none.
    pub fn activate(mutant: Option<super::Mutant>) {
        ACTIVE.store(mutant.map_or(0, |mutant| mutant as u8), Ordering::SeqCst);
    }

    pub(crate) fn is_active(mutant: super::Mutant) -> bool {
        ACTIVE.load(Ordering::Relaxed) == mutant as u8
    }
}

#[cfg(feature = "simulation")]
pub use active::activate;
#[cfg(feature = "simulation")]
pub(crate) use active::is_active;

/// True if a rule is to be broken: never, in a build for users.
#[cfg(not(feature = "simulation"))]
#[inline]
pub(crate) const fn is_active(_: Mutant) -> bool {
    false
}
