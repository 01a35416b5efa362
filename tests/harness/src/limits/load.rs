//! Writes records for a measurement, as fast as the broker takes them.

use std::fmt::Write as _;

use super::worker::{Item, Kind};
use crate::bulk::BulkWriter;
use crate::interrupt::Interrupt;
use crate::random::Random;

/// Which keys records have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    /// So many, drawn uniformly.
    Uniform(u64),
    /// A key for each record.
    Distinct,
}

/// What records are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) keys: Keys,
    /// Bytes of a value.
    pub(crate) value: usize,
    /// Bytes of it that do not compress.
    pub(crate) noise: usize,
    /// Among them are 1 % that cannot be decoded, 1 % that fail for good, 2 % that fail once, and 0.1 % that panic; all
    /// with keys of their own.
    pub(crate) is_poisoned: bool,
    /// The call of this good record does not end; what has its key comes after it.
    pub(crate) hangs: Option<u64>,
}

/// What is wrong with a record.
enum Bad {
    Undecodable,
    Of(Kind),
}

/// The records of a recipe, one after the other: the good ones are the same with and without the others.
#[derive(Debug)]
pub(crate) struct Records {
    recipe: Recipe,
    keys: Random,
    kinds: Random,
    noise: Random,
    good: u64,
    hung: Option<u64>,
    /// What records repeat, as change events do.
    filler: String,
    /// Bytes of a value besides its padding.
    envelope: usize,
}

impl Records {
    pub(crate) fn new(recipe: Recipe) -> Self {
        const PHRASE: &str = "the quick brown fox jumps over the lazy dog; ";
        let empty = Item {
            kind: Kind::Ok,
            pad: String::new(),
        };
        Self {
            recipe,
            filler: PHRASE.repeat(recipe.value / PHRASE.len() + 1),
            envelope: serde_json::to_vec(&empty).unwrap_or_default().len(),
            keys: Random::of(1, "keys"),
            kinds: Random::of(1, "kinds"),
            noise: Random::of(1, "noise"),
            good: 0,
            hung: None,
        }
    }

    /// Returns the next key and value, and whether it is one that counts: good, and no key of the call that hangs.
    pub(crate) fn next(&mut self) -> (String, Vec<u8>, bool) {
        match self.bad() {
            Some(kind) => {
                let key = format!("bad-{}", self.kinds.below(10_000));
                let value = match kind {
                    Bad::Undecodable => {
                        let mut torn = self.value(Kind::Ok);
                        torn.truncate(torn.len() / 2);
                        torn
                    }
                    Bad::Of(kind) => self.value(kind),
                };
                (key, value, false)
            }
            None => self.good(),
        }
    }

    /// Returns what is wrong with the next record, if something is.
    fn bad(&mut self) -> Option<Bad> {
        if !self.recipe.is_poisoned {
            return None;
        }
        match self.kinds.below(1000) {
            0 => Some(Bad::Of(Kind::Panic)),
            1..=10 => Some(Bad::Undecodable),
            11..=20 => Some(Bad::Of(Kind::Permanent)),
            21..=40 => Some(Bad::Of(Kind::Transient)),
            _ => None,
        }
    }

    fn good(&mut self) -> (String, Vec<u8>, bool) {
        let key = match self.recipe.keys {
            Keys::Uniform(keys) => self.keys.below(keys),
            Keys::Distinct => self.good,
        };
        let kind = if self.recipe.hangs == Some(self.good) {
            self.hung = Some(key);
            Kind::Hang
        } else if self.hung == Some(key) {
            Kind::Behind
        } else {
            Kind::Ok
        };
        self.good += 1;
        (format!("key-{key}"), self.value(kind), kind == Kind::Ok)
    }

    fn value(&mut self, kind: Kind) -> Vec<u8> {
        let text = self.recipe.value.saturating_sub(self.envelope);
        let mut pad = String::with_capacity(text + 16);
        while pad.len() < self.recipe.noise {
            let _ = write!(pad, "{:016x}", self.noise.next());
        }
        pad.push_str(self.filler.get(pad.len()..text).unwrap_or_default());
        pad.truncate(text);
        serde_json::to_vec(&Item { kind, pad }).unwrap_or_default()
    }
}

/// Writes the records of a recipe to a topic.
pub(crate) struct Writer {
    bulk: BulkWriter,
    records: Records,
    /// Records that count.
    pub(crate) counted: u64,
    pub(crate) written: u64,
}

impl Writer {
    pub(crate) fn new(servers: &str, topic: &str, recipe: Recipe) -> anyhow::Result<Self> {
        Ok(Self {
            bulk: BulkWriter::new(servers, topic, "lz4")?,
            records: Records::new(recipe),
            counted: 0,
            written: 0,
        })
    }

    /// Writes records until so many that count were written in all.
    pub(crate) fn write_until(
        &mut self,
        counted: u64,
        interrupt: &Interrupt,
    ) -> anyhow::Result<()> {
        while self.counted < counted {
            if self.written.is_multiple_of(1000) {
                interrupt.check()?;
            }
            let (key, value, counts) = self.records.next();
            self.bulk.send(key.as_bytes(), &value)?;
            self.written += 1;
            self.counted += u64::from(counts);
        }
        Ok(())
    }

    /// Waits until the broker has all.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        self.bulk.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Keys, Kind, Recipe, Records};

    const RECIPE: Recipe = Recipe {
        keys: Keys::Uniform(10),
        value: 200,
        noise: 32,
        is_poisoned: false,
        hangs: None,
    };

    fn kind(value: &[u8]) -> Option<Kind> {
        serde_json::from_slice::<Item>(value)
            .ok()
            .map(|item| item.kind)
    }

    #[test]
    fn a_value_has_the_length_it_should_have() {
        let (_, value, _) = Records::new(RECIPE).next();

        assert_eq!(value.len(), 200);
    }

    #[test]
    fn the_good_records_are_the_same_with_bad_ones_among_them() {
        let mut clean = Records::new(RECIPE);
        let mut mixed = Records::new(Recipe {
            is_poisoned: true,
            ..RECIPE
        });
        let good = |records: &mut Records| {
            let next = || records.next();
            let kept = std::iter::repeat_with(next).filter(|(_, _, counts)| *counts);
            kept.take(2000).map(|(key, _, _)| key).collect::<Vec<_>>()
        };

        assert_eq!(good(&mut clean), good(&mut mixed));
    }

    #[test]
    fn the_mix_is_what_it_says() {
        let mut mixed = Records::new(Recipe {
            is_poisoned: true,
            ..RECIPE
        });
        let values: Vec<_> = (0..100_000).map(|_| kind(&mixed.next().1)).collect();
        let count = |kind| values.iter().filter(|one| **one == kind).count();

        assert!((900..1100).contains(&count(None)));
        assert!((900..1100).contains(&count(Some(Kind::Permanent))));
        assert!((1850..2150).contains(&count(Some(Kind::Transient))));
        assert!((60..140).contains(&count(Some(Kind::Panic))));
    }

    #[test]
    fn what_has_the_key_of_a_hung_call_does_not_count() {
        let mut records = Records::new(Recipe {
            hangs: Some(5),
            ..RECIPE
        });
        let all: Vec<_> = (0..200).map(|_| records.next()).collect();
        let hung = &all[5];

        assert_eq!(kind(&hung.1), Some(Kind::Hang));
        let behind = all[6..].iter().filter(|(key, _, _)| *key == hung.0);
        assert!(behind.clone().count() > 5);
        assert!(behind.clone().all(|(_, _, counts)| !counts));
    }
}
