//! How much is tried.

use clap::ValueEnum;

use super::scenario::{KINDS, Kind, Scenario, Size};

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Each scenario once, in about four minutes
    Short,
    /// 50 seeds and more than 2 million records, in about three quarters of an hour
    Long,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
        }
    }

    fn size(self) -> Size {
        match self {
            Self::Short => Size::Short,
            Self::Long => Size::Long,
        }
    }

    /// The same scenario with the next seed.
    pub(crate) fn next(self, scenario: &Scenario) -> Scenario {
        let kind = KINDS.iter().find(|kind| kind.name == scenario.name);
        let next = kind.map(|kind| kind.make(scenario.seed + 1, self.size()));
        Scenario {
            protocol: scenario.protocol,
            client_debug: scenario.client_debug.clone(),
            ..next.unwrap_or_else(|| scenario.clone())
        }
    }

    /// The scenarios that are run. Those that `only` names are run with each seed.
    pub(crate) fn scenarios(self, seed: u64, seeds: Option<u64>, only: &[String]) -> Vec<Scenario> {
        let size = self.size();
        let own = if self == Self::Short || !only.is_empty() {
            1
        } else {
            SEEDS
        };
        let mut scenarios = Vec::new();
        for n in 0..seeds.unwrap_or(own) {
            let is_chosen = |place: usize, kind: &Kind| {
                if !only.is_empty() {
                    return only.iter().any(|name| name == kind.name);
                }
                match self {
                    Self::Short => kind.is_short,
                    Self::Long if kind.is_repeated => n % REPEATED == place as u64 % REPEATED,
                    Self::Long => n == 0,
                }
            };
            let chosen = KINDS
                .iter()
                .enumerate()
                .filter(|(place, kind)| is_chosen(*place, kind));
            scenarios.extend(chosen.map(|(_, kind)| kind.make(seed + n, size)));
        }
        scenarios
    }
}

/// Of the long profile.
const SEEDS: u64 = 50;

/// How many kinds take turns with the seeds.
const REPEATED: u64 = 3;

#[cfg(test)]
mod tests {
    use super::{KINDS, Profile, Size};
    use crate::chaos::worker::Protocol;

    #[test]
    fn the_long_profile_has_two_million_records_and_every_kind() {
        let scenarios = Profile::Long.scenarios(1, None, &[]);

        let records: usize = scenarios
            .iter()
            .flat_map(|s| &s.topics)
            .map(|t| t.records)
            .sum();
        assert!(records >= 2_000_000, "{records}");
        for kind in KINDS {
            assert!(
                scenarios.iter().any(|one| one.name == kind.name),
                "{}",
                kind.name
            );
        }
    }

    #[test]
    fn a_second_try_is_the_same_with_the_next_seed() {
        let mut first = KINDS[0].make(7, Size::Short);
        first.protocol = Protocol::Range;

        let next = Profile::Short.next(&first);

        assert_eq!((next.name, next.seed), (first.name, 8));
        assert_eq!(next.protocol, Protocol::Range);
        assert_ne!(next.schedule.to_string(), first.schedule.to_string());
    }

    #[test]
    fn a_scenario_by_name_is_in_every_profile() {
        for profile in [Profile::Short, Profile::Long] {
            let found = profile.scenarios(7, Some(2), &["rolling".into()]);

            assert!(found.iter().map(|one| one.seed).eq([7, 8]));
        }
    }
}
