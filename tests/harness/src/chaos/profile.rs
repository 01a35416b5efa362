//! How much is tried.

use clap::ValueEnum;

use super::scenario::{KINDS, Scenario, Size};

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Each scenario once, in 2 to 3 minutes
    Short,
    /// 50 seeds and more than 2 million records, in tens of minutes
    Long,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
        }
    }

    /// The scenarios that are run: all of them with one seed, then all with the next.
    pub(crate) fn scenarios(self, seed: u64, seeds: Option<u64>, only: &[String]) -> Vec<Scenario> {
        let (size, own) = match self {
            Self::Short => (Size::Short, 1),
            Self::Long => (Size::Long, 50),
        };
        (0..seeds.unwrap_or(own))
            .flat_map(|n| KINDS.iter().map(move |kind| (kind, seed + n)))
            .filter(|(kind, _)| only.is_empty() || only.iter().any(|name| name == kind.name))
            .map(|(kind, seed)| kind.make(seed, size))
            .collect()
    }
}
