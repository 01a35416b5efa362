//! Which check has to see which breakage.

use super::Check;
use crate::mutant::Mutant;

/// Every mutant, with the check that must catch it.
pub const MUTANTS: &[(Mutant, Check)] = &[
    (Mutant::CommitHighestFinished, Check::Commit),
    (Mutant::CommitOneTooFar, Check::Commit),
    (Mutant::CommitReceived, Check::Commit),
    (Mutant::AckBeforeDeadLetter, Check::Commit),
    (Mutant::ForgetRefusedDeadLetter, Check::Commit),
    (Mutant::AckPanics, Check::Commit),
    (Mutant::AckUndecodable, Check::Commit),
    (Mutant::DropKeyChain, Check::Order),
    (Mutant::IgnoreEarlierCalls, Check::Exclusive),
    (Mutant::RevokeAtOnce, Check::Duplicates),
    (Mutant::RevokeWithoutStore, Check::Duplicates),
    (Mutant::StopAtOnce, Check::Duplicates),
    (Mutant::ChainNullKeys, Check::Starvation),
    (Mutant::ChainWholePartition, Check::Starvation),
    (Mutant::LeakPermits, Check::Starvation),
    (Mutant::NeverResume, Check::Stall),
    (Mutant::AnswerSuperseded, Check::Stall),
    (Mutant::IgnoreFence, Check::Foreign),
    (Mutant::IgnoreSuspend, Check::Foreign),
    (Mutant::IgnoreRefusedCommit, Check::Foreign),
    (Mutant::RetryOnceMore, Check::Attempts),
    (Mutant::AppendHeaders, Check::DeadLetter),
    (Mutant::SilentWatchdog, Check::Watchdog),
    (Mutant::NeverPause, Check::Memory),
    (Mutant::StopWithoutLimit, Check::Stop),
    (Mutant::SkipUnreadable, Check::Commit),
    (Mutant::PassParkedKeys, Check::Order),
    (Mutant::ForgetParkedKeys, Check::Order),
    (Mutant::AckBeforeParked, Check::Commit),
    (Mutant::HandleStaleParked, Check::Order),
    (Mutant::NoBreaker, Check::Breaker),
    (Mutant::ShiftVerdicts, Check::Commit),
    (Mutant::AckWholeBatch, Check::Commit),
    (Mutant::CommitBack, Check::Regress),
    (Mutant::QuoteValues, Check::Secrets),
    (Mutant::TrustHeaders, Check::DeadLetter),
];
