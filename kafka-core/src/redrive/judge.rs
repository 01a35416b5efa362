//! Decides what becomes of a dead letter: put back, skipped, or refused. Plain functions of values.
//!
//! Where a record goes comes from its header, and whoever can write to the dead letter topic could have written that.
//! So the header is believed only where the name of the dead letter topic, `{group}.{topic}.dlq`, says the same, or where
//! the caller does.

use std::sync::Arc;
use std::time::SystemTime;

use super::letter::Letter;
use super::refusal::Refusal;
use crate::outcome::FailureKind;
use crate::record::Timestamp;

/// Which records are wanted; what is empty wants all.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) since: Option<SystemTime>,
    pub(super) until: Option<SystemTime>,
    pub(super) classes: Vec<FailureKind>,
    pub(super) handlers: Vec<String>,
    pub(super) origins: Vec<String>,
}

impl Filter {
    fn takes(&self, letter: &Letter, timestamp: Timestamp) -> bool {
        let at = timestamp.to_system_time();
        let origin = letter.origin.as_ref().ok().map(|origin| &*origin.topic);
        self.since
            .is_none_or(|since| at.is_some_and(|at| at >= since))
            && self
                .until
                .is_none_or(|until| at.is_some_and(|at| at < until))
            && is_one_of(&self.classes, letter.class.as_ref())
            && is_one_of(&self.handlers, letter.handler.as_deref())
            && is_one_of(&self.origins, origin)
    }
}

fn is_one_of<W: std::borrow::Borrow<T>, T: PartialEq + ?Sized>(
    wanted: &[W],
    is: Option<&T>,
) -> bool {
    wanted.is_empty() || is.is_some_and(|is| wanted.iter().any(|one| one.borrow() == is))
}

/// What a caller allows.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) dead_letter_topic: Arc<str>,
    pub(super) filter: Filter,
    /// The destination of all records, whatever they say.
    pub(super) to: Option<Arc<str>>,
    pub(super) allowed_origins: Vec<String>,
    pub(super) max_redrives: u32,
    /// The topics that exist and that the dead letter topic's name can mean.
    pub(super) implied: Vec<Arc<str>>,
}

/// What becomes of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    PutBack {
        topic: Arc<str>,
        /// `None`: by the key.
        partition: Option<i32>,
        /// How often it was put back then.
        count: u32,
    },
    /// Not wanted by the filter.
    Skip,
    Refuse(Refusal),
}

impl Rules {
    pub(super) fn judge(&self, letter: &Letter, timestamp: Timestamp) -> Verdict {
        match self.put_back(letter, timestamp) {
            Ok(verdict) => verdict,
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }

    fn put_back(&self, letter: &Letter, timestamp: Timestamp) -> Result<Verdict, Refusal> {
        // Before the filter, which could not see what is malformed; with a destination from the caller, it need not be
        // there.
        let origin = match (&self.to, &letter.origin) {
            (None, origin) => Some(origin.clone()?),
            (Some(_), origin) => origin.as_ref().ok().cloned(),
        };
        let count = letter.count.clone()?;
        if !self.filter.takes(letter, timestamp) {
            return Ok(Verdict::Skip);
        }
        let (topic, partition) = match (&self.to, origin) {
            (Some(to), _) => (Arc::clone(to), None),
            (None, Some(origin)) => {
                self.trust(&origin.topic, &origin.group)?;
                (origin.topic, Some(origin.partition))
            }
            (None, None) => unreachable!("without a destination, an origin is required"),
        };
        if count >= self.max_redrives {
            return Err(Refusal::TooOften(count));
        }
        Ok(Verdict::PutBack {
            topic,
            partition,
            count: count + 1,
        })
    }

    fn trust(&self, topic: &Arc<str>, group: &str) -> Result<(), Refusal> {
        if self
            .allowed_origins
            .iter()
            .any(|allowed| **allowed == **topic)
        {
            return Ok(());
        }
        if *self.dead_letter_topic != *format!("{group}.{topic}.dlq") {
            return Err(Refusal::Origin(Arc::clone(topic)));
        }
        // Names have dots, so a.b.c.dlq is of b.c in group a, or of c in group a.b: a forged header could choose.
        match self.implied.iter().find(|other| *other != topic) {
            Some(other) => Err(Refusal::AmbiguousOrigin {
                topic: Arc::clone(topic),
                other: Arc::clone(other),
            }),
            None => Ok(()),
        }
    }
}

/// Returns those of the topics that a dead letter topic's name can mean.
pub(super) fn implied(dead_letter_topic: &str, topics: &[String]) -> Vec<Arc<str>> {
    let is_implied = |topic: &String| {
        dead_letter_topic
            .strip_suffix(".dlq")
            .and_then(|name| name.strip_suffix(topic.as_str()))
            .and_then(|group| group.strip_suffix('.'))
            .is_some_and(|group| !group.is_empty())
    };
    topics
        .iter()
        .filter(|topic| is_implied(topic))
        .map(|topic| Arc::from(topic.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::redrive::letter::Origin;

    fn rules() -> Rules {
        Rules {
            dead_letter_topic: "billing.shop.orders.dlq".into(),
            filter: Filter::default(),
            to: None,
            allowed_origins: Vec::new(),
            max_redrives: 3,
            implied: vec!["shop.orders".into()],
        }
    }

    fn letter(group: &str, topic: &str) -> Letter {
        Letter {
            origin: Ok(Origin {
                topic: topic.into(),
                partition: 2,
                group: group.to_owned(),
            }),
            count: Ok(0),
            class: Some(FailureKind::Permanent),
            handler: Some("on_order".into()),
        }
    }

    fn judge(rules: &Rules, letter: &Letter) -> Verdict {
        rules.judge(letter, Timestamp::CreateTime(1_000))
    }

    fn back(topic: &str, partition: Option<i32>, count: u32) -> Verdict {
        Verdict::PutBack {
            topic: topic.into(),
            partition,
            count,
        }
    }

    #[test]
    fn a_record_goes_back_to_where_it_was() {
        let verdict = judge(&rules(), &letter("billing", "shop.orders"));

        assert_eq!(verdict, back("shop.orders", Some(2), 1));
    }

    #[test]
    fn an_origin_that_the_name_does_not_say_is_refused_unless_it_is_allowed() {
        let mut rules = rules();
        for (group, topic) in [("billing", "payroll"), ("other", "shop.orders")] {
            let refused = Verdict::Refuse(Refusal::Origin(topic.into()));
            assert_eq!(judge(&rules, &letter(group, topic)), refused);
        }

        rules.allowed_origins = vec!["payroll".to_owned()];
        assert_eq!(
            judge(&rules, &letter("billing", "payroll")),
            back("payroll", Some(2), 1)
        );
    }

    #[test]
    fn a_name_that_says_two_topics_is_refused_unless_one_is_allowed() {
        let mut rules = rules();
        rules.implied = implied(
            "billing.shop.orders.dlq",
            &["shop.orders", "orders", "users", "billing.shop.orders"].map(str::to_owned),
        );
        let forged = letter("billing.shop", "orders");

        assert_eq!(rules.implied.len(), 2);
        assert!(matches!(
            judge(&rules, &forged),
            Verdict::Refuse(Refusal::AmbiguousOrigin { .. })
        ));
        rules.allowed_origins = vec!["shop.orders".to_owned()];
        let honest = letter("billing", "shop.orders");
        assert_eq!(judge(&rules, &honest), back("shop.orders", Some(2), 1));
        assert!(matches!(judge(&rules, &forged), Verdict::Refuse(_)));
    }

    #[test]
    fn a_destination_from_the_caller_needs_no_header() {
        let mut rules = rules();
        rules.to = Some("elsewhere".into());
        let mut strange = letter("x", "y");
        strange.origin = Err(Refusal::Header("h"));

        assert_eq!(judge(&rules, &strange), back("elsewhere", None, 1));
        rules.to = None;
        assert_eq!(
            judge(&rules, &strange),
            Verdict::Refuse(Refusal::Header("h"))
        );
    }

    #[test]
    fn a_record_is_put_back_so_often_and_no_more() {
        let mut letter = letter("billing", "shop.orders");
        letter.count = Ok(2);
        assert_eq!(judge(&rules(), &letter), back("shop.orders", Some(2), 3));

        letter.count = Ok(3);
        assert_eq!(
            judge(&rules(), &letter),
            Verdict::Refuse(Refusal::TooOften(3))
        );
    }

    #[test]
    fn what_a_filter_does_not_want_is_skipped_not_refused() {
        let letter = letter("billing", "payroll");
        let filters: [fn(&mut Filter); 5] = [
            |f| f.classes = vec![FailureKind::Decode, FailureKind::Timeout],
            |f| f.handlers = vec!["other".to_owned()],
            |f| f.origins = vec!["shop.orders".to_owned()],
            |f| f.since = Some(UNIX_EPOCH + Duration::from_millis(1_001)),
            |f| f.until = Some(UNIX_EPOCH + Duration::from_secs(1)),
        ];

        for set in filters {
            let mut rules = rules();
            set(&mut rules.filter);
            assert_eq!(judge(&rules, &letter), Verdict::Skip);
        }
    }
}
