//! The records of a scenario: what is in them and in which order, by seed.

use rdkafka::message::{Header, OwnedHeaders};

use super::random::Random;
use super::worker::{Kind, Work};

/// Keys that share the records which have one.
const KEYS: u64 = 200;

/// What a topic is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Plain,
    /// Old records of a key go while it is read.
    Compacted,
    /// Written in transactions, a fifth of which are aborted.
    Transactional,
}

/// A topic and what is written to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopicPlan {
    pub(crate) name: &'static str,
    pub(crate) flavour: Flavour,
    pub(crate) partitions: i32,
    pub(crate) records: usize,
    /// Nine of ten records have the same key.
    pub(crate) is_hot: bool,
    pub(crate) mix: Mix,
    /// It is handled in batches.
    pub(crate) is_batched: bool,
}

/// Which kinds of records there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// All kinds; most can be handled at the first attempt.
    Usual,
    /// All can be handled at the first attempt.
    Clean,
    /// All kinds, and one of twenty needs a third or a fourth attempt.
    Stubborn,
}

/// A record to be written.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) n: i64,
    pub(crate) kind: Kind,
}

/// The drafts of a topic, one after the other.
#[derive(Debug)]
pub(crate) struct Workload {
    random: Random,
    plan: TopicPlan,
    /// How many records each key has had; the last one counts those without a key.
    counts: Vec<i64>,
}

impl Workload {
    pub(crate) fn new(seed: u64, plan: TopicPlan) -> Self {
        Self {
            random: Random::of(seed, plan.name),
            plan,
            counts: vec![0; usize::try_from(KEYS).unwrap_or_default() + 1],
        }
    }

    pub(crate) fn next(&mut self) -> Draft {
        let kind = self.kind();
        let key = self.key(kind);
        let count = match key {
            Some(number) => &mut self.counts[usize::try_from(number).unwrap_or_default()],
            None => self
                .counts
                .last_mut()
                .unwrap_or_else(|| unreachable!("KEYS + 1")),
        };
        *count += 1;
        let n = *count;
        let key = key.map(|number| format!("k{number}"));
        let work = Work {
            key: key.clone(),
            n,
            kind,
        };
        let json = serde_json::to_vec(&work).unwrap_or_default();
        let value = match kind {
            Kind::Tombstone => None,
            // Torn in the middle, or not even text.
            Kind::Decode if n % 2 == 0 => Some(json[..json.len() / 2].to_vec()),
            Kind::Decode => Some(vec![0xff, 0x00, 0xfe, 0x7b]),
            _ => Some(json),
        };
        Draft {
            headers: self.headers(n),
            key,
            value,
            n,
            kind,
        }
    }

    fn kind(&mut self) -> Kind {
        if self.plan.mix == Mix::Clean {
            return Kind::Ok;
        }
        match self.random.below(1000) {
            66..=85 if self.plan.mix == Mix::Stubborn => Kind::Transient { fails: 3 },
            86..=115 if self.plan.mix == Mix::Stubborn => Kind::Transient { fails: 2 },
            0 => Kind::Panic,
            1..=10 => Kind::Decode,
            11..=20 => Kind::Permanent,
            21..=30 => Kind::Transient { fails: 1 },
            31..=40 => Kind::Transient { fails: 2 },
            41..=45 => Kind::Skip,
            46..=65 => Kind::Tombstone,
            _ => Kind::Ok,
        }
    }

    fn key(&mut self, kind: Kind) -> Option<u64> {
        if self.plan.is_hot && self.random.per_mille(900) {
            return Some(0);
        }
        // A compacted topic refuses records without a key, and a tombstone without one says nothing.
        let must = self.plan.flavour == Flavour::Compacted || kind == Kind::Tombstone;
        if !must && self.random.per_mille(50) {
            return None;
        }
        Some(self.random.below(KEYS))
    }

    /// Headers that are hard to copy: names that repeat, null and empty values, bytes, and lies about where the record
    /// comes from.
    fn headers(&mut self, n: i64) -> Vec<(String, Option<Vec<u8>>)> {
        let mut headers = vec![("chaos-n".to_owned(), Some(n.to_string().into_bytes()))];
        if self.random.per_mille(300) {
            headers.push(("twice".into(), Some(vec![0, 0xff])));
            headers.push(("twice".into(), None));
            headers.push((String::new(), Some(Vec::new())));
        }
        if self.random.per_mille(50) {
            let name = "kafka_runtime.dead_letter.offset";
            headers.push((name.into(), Some(b"4711".to_vec())));
        }
        headers
    }
}

pub(crate) fn to_headers(headers: &[(String, Option<Vec<u8>>)]) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(empty, |all, (key, value)| {
        all.insert(Header {
            key,
            value: value.as_deref(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Flavour, Mix, TopicPlan, Workload};
    use crate::chaos::worker::{Kind, Work};

    const PLAN: TopicPlan = TopicPlan {
        name: "plain",
        flavour: Flavour::Plain,
        partitions: 1,
        records: 0,
        is_hot: false,
        mix: Mix::Usual,
        is_batched: false,
    };

    #[test]
    fn a_seed_gives_the_same_records() {
        let (mut one, mut same) = (Workload::new(3, PLAN), Workload::new(3, PLAN));

        for _ in 0..100 {
            let (one, same) = (one.next(), same.next());
            assert_eq!((one.key, one.value), (same.key, same.value));
        }
    }

    #[test]
    fn every_kind_comes_and_only_the_undecodable_cannot_be_decoded() {
        let mut workload = Workload::new(1, PLAN);
        let drafts: Vec<_> = (0..5000).map(|_| workload.next()).collect();

        for kind in [Kind::Panic, Kind::Decode, Kind::Skip, Kind::Tombstone] {
            assert!(drafts.iter().any(|draft| draft.kind == kind), "{kind:?}");
        }
        for draft in &drafts {
            let decoded = draft
                .value
                .as_deref()
                .map(serde_json::from_slice::<Work>)
                .transpose();
            match decoded {
                Ok(work) => {
                    let kind = work.map_or(Kind::Tombstone, |work| work.kind);
                    assert_eq!(kind, draft.kind);
                }
                Err(_) => assert_eq!(draft.kind, Kind::Decode),
            }
        }
    }

    #[test]
    fn a_hot_key_has_nine_of_ten_records() {
        let plan = TopicPlan {
            is_hot: true,
            ..PLAN
        };
        let mut workload = Workload::new(1, plan);

        let hot = (0..1000)
            .filter(|_| workload.next().key.as_deref() == Some("k0"))
            .count();

        assert!((850..950).contains(&hot), "{hot}");
    }
}
