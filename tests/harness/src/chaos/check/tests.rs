//! Ledgers that are wrong on purpose: each is flagged, and for what it is. Those that are right pass.

use std::collections::BTreeMap;
use std::time::Duration;

use super::duplicates::Cause;
use super::{Expectation, Judgement, Known, Promise, Verdict, judge};
use crate::chaos::clock::millis;
use crate::chaos::evidence::{
    Content, DeadLetter, Deletion, End, Evidence, ParkedCopy, Process, Produced, RetryTopic,
    Strike, StrikeKind,
};
use crate::chaos::ledger::{At, Ending, Entry, Line, Partition};
use crate::chaos::sampler::Sample;
use crate::chaos::worker::Kind;

const P: Partition = Partition {
    topic: 0,
    number: 0,
};

fn at(offset: i64) -> At {
    At {
        partition: P,
        offset,
    }
}

/// Records of one partition: a key and a kind for each offset from 0 on, all there at 0 ms.
fn produced(records: &[(&str, Kind)]) -> Evidence {
    let records = records
        .iter()
        .zip(0..)
        .map(|((key, kind), offset)| Produced {
            offset,
            key: Some((*key).into()).filter(|key: &std::sync::Arc<str>| !key.is_empty()),
            n: offset,
            kind: *kind,
            ns: 0,
            content: Some(content(offset)),
            is_gone: false,
        });
    Evidence {
        topics: vec!["t".into()],
        group: "g".into(),
        produced: BTreeMap::from([(P, records.collect())]),
        ..Evidence::default()
    }
}

fn content(offset: i64) -> Content {
    Content {
        key: Some(b"k".to_vec()),
        value: Some(offset.to_string().into_bytes()),
        headers: vec![("h".into(), None), ("h".into(), Some(Vec::new()))],
    }
}

fn letter(offset: i64, class: &str) -> DeadLetter {
    let mut content = content(offset);
    for (name, value) in [
        ("topic", "t"),
        ("partition", "0"),
        ("offset", &offset.to_string()),
        ("group", "g"),
        ("handler", "t"),
        ("class", class),
    ] {
        let name = format!("kafka_runtime.dead_letter.{name}");
        content
            .headers
            .push((name, Some(value.as_bytes().to_vec())));
    }
    DeadLetter { topic: 0, content }
}

/// A ledger being written: what happened at which millisecond.
#[derive(Default)]
struct Story {
    lines: Vec<Line>,
    calls: u64,
    suspensions: Vec<(u64, u64)>,
}

impl Story {
    /// Begins with the partition, from this offset on.
    fn from(ms: u64, offset: i64) -> Self {
        Self::default().line(ms, Entry::Assigned(vec![(P, Some(offset))]))
    }

    fn line(mut self, ms: u64, entry: Entry) -> Self {
        self.lines.push(Line {
            ns: millis(ms),
            entry,
        });
        self
    }

    fn begun(mut self, ms: u64, offset: i64, attempt: u32) -> Self {
        self.calls += 1;
        let call = self.calls;
        self.line(
            ms,
            Entry::Begun {
                call,
                at: at(offset),
                n: offset,
                attempt,
            },
        )
    }

    fn ended(self, ms: u64, how: Ending) -> Self {
        let call = self.calls;
        self.line(ms, Entry::Ended { call, how })
    }

    /// A call of 10 ms that ends well.
    fn handles(self, ms: u64, offset: i64) -> Self {
        self.begun(ms, offset, 1).ended(ms + 10, Ending::Ok)
    }

    fn revoked(self, ms: u64, dropped: u64) -> Self {
        let partitions = vec![P];
        self.line(
            ms,
            Entry::Revoked {
                partitions,
                drained_ms: 0,
                dropped,
            },
        )
    }

    fn suspended(mut self, from: u64, until: u64) -> Self {
        self.suspensions.push((millis(from), millis(until)));
        self
    }

    /// Ends in order 100 ms after it was told to.
    fn stops(self, ms: u64) -> Process {
        self.stops_late(ms, 100)
    }

    fn stops_late(self, ms: u64, after: u64) -> Process {
        self.stops_after(0, ms, after)
    }

    /// Takes all of its grace, and then some.
    fn stops_out_of_time(self, ms: u64) -> Process {
        self.stops_after(5500, ms, 100)
    }

    fn stops_after(self, took_ms: u64, ms: u64, after: u64) -> Process {
        let unfinished = 0;
        let story = self.line(
            ms,
            Entry::Stopped {
                took_ms,
                unfinished,
            },
        );
        let told = millis(ms.saturating_sub(took_ms));
        story.ends(ms + after, End::Terminated { told })
    }

    fn killed(self, ms: u64) -> Process {
        self.ends(ms, End::Killed)
    }

    fn ends(self, ms: u64, end: End) -> Process {
        Process {
            name: "w".into(),
            lane: 0,
            spawned: 0,
            ended: millis(ms),
            end,
            suspensions: self.suspensions,
            lines: self.lines,
        }
    }
}

fn sample(ms: u64, offset: i64) -> Sample {
    Sample {
        asked: millis(ms),
        answered: millis(ms),
        committed: BTreeMap::from([(P, offset)]),
    }
}

fn with(
    mut evidence: Evidence,
    processes: impl IntoIterator<Item = Process>,
    committed: i64,
) -> Evidence {
    evidence.processes = processes.into_iter().collect();
    evidence.committed = BTreeMap::from([(P, committed)]);
    evidence
}

fn judged(evidence: &Evidence) -> Judgement {
    judge(evidence, Expectation::default())
}

/// The one promise that is broken, however often.
#[track_caller]
fn broken(evidence: &Evidence) -> Promise {
    let judgement = judged(evidence);
    let counts = judgement.counts();
    assert_eq!(counts.len(), 1, "{:#?}", judgement.violations);
    counts.into_keys().next().unwrap()
}

#[track_caller]
fn passes(evidence: &Evidence) -> Judgement {
    let judgement = judged(evidence);
    assert_eq!(judgement.violations, []);
    assert_eq!(judgement.verdict(), Verdict::Pass);
    judgement
}

const OK: (&str, Kind) = ("a", Kind::Ok);

#[test]
fn a_run_in_which_all_went_well_passes() {
    let kinds = [
        OK,
        ("b", Kind::Transient { fails: 1 }),
        ("a", Kind::Permanent),
        ("a", Kind::Decode),
        ("", Kind::Skip),
        ("a", Kind::Tombstone),
        ("b", Kind::Ok),
    ];
    let first = Story::from(0, 0)
        .handles(10, 0)
        .begun(20, 1, 1)
        .ended(25, Ending::Failed)
        .begun(30, 2, 1)
        .ended(35, Ending::Failed)
        .line(
            40,
            Entry::DeadLettered {
                at: at(2),
                attempts: 1,
            },
        )
        .begun(45, 1, 2)
        .ended(50, Ending::Ok)
        .revoked(60, 0)
        .stops(1000);
    let second = Story::from(70, 3)
        .line(
            75,
            Entry::DeadLettered {
                at: at(3),
                attempts: 1,
            },
        )
        .begun(80, 4, 1)
        .ended(85, Ending::Skip)
        .line(86, Entry::Skipped { at: at(4) })
        .handles(90, 5)
        .handles(110, 6)
        .stops(1000);
    let mut evidence = with(produced(&kinds), [first, second], 7);
    evidence.samples = vec![sample(60, 3), sample(500, 7)];
    evidence.dead_letters = vec![
        letter(2, "permanent"),
        letter(3, "decode"),
        letter(3, "decode"),
    ];

    let judgement = passes(&evidence);

    assert_eq!(judgement.figures.finished, 7);
    assert_eq!(judgement.figures.duplicates, BTreeMap::new());
    assert_eq!(judgement.figures.rebalances, 1);
}

#[test]
fn a_record_below_the_committed_offset_that_was_not_handled_is_lost() {
    let records = produced(&[("a", Kind::Ok), ("b", Kind::Ok)]);
    let process = Story::from(0, 0).handles(10, 1).stops(1000);

    assert_eq!(broken(&with(records, [process], 2)), Promise::Lost);
}

#[test]
fn a_record_that_is_left_at_the_end_is_unfinished() {
    let process = Story::from(0, 0).handles(10, 0).stops(1000);

    let evidence = with(produced(&[OK, OK]), [process], 1);

    assert_eq!(broken(&evidence), Promise::Unfinished);
}

#[test]
fn a_call_that_failed_finishes_nothing() {
    let process = Story::from(0, 0)
        .begun(10, 0, 1)
        .ended(20, Ending::Dropped)
        .stops(1000);

    assert_eq!(broken(&with(produced(&[OK]), [process], 1)), Promise::Lost);
}

#[test]
fn a_commit_before_the_record_was_finished_is_past_it() {
    let records = produced(&[OK, ("b", Kind::Ok)]);
    let process = Story::from(0, 0).handles(10, 1).handles(500, 0).stops(1000);
    let mut evidence = with(records, [process], 2);

    evidence.samples = vec![sample(505, 2)];
    assert_eq!(broken(&evidence), Promise::Past);

    evidence.samples = vec![sample(505, 0), sample(510, 2)];
    passes(&evidence);
}

#[test]
fn a_committed_offset_that_goes_back_is_told() {
    let process = Story::from(0, 0).handles(10, 0).handles(30, 1).stops(1000);
    let mut evidence = with(produced(&[OK, OK]), [process], 2);

    evidence.samples = vec![sample(100, 2), sample(200, 1)];

    assert_eq!(broken(&evidence), Promise::Regress);
}

#[test]
fn a_committed_offset_that_is_gone_at_the_end_is_told() {
    let process = Story::from(0, 0).handles(10, 0).handles(30, 1).stops(1000);
    let mut evidence = with(produced(&[OK, OK]), [process], 1);

    evidence.samples = vec![sample(100, 2)];

    assert_eq!(broken(&evidence), Promise::Regress);
}

#[test]
fn what_was_never_written_or_was_aborted_must_not_be_handled() {
    let process = Story::from(0, 0).handles(10, 0).handles(30, 1).stops(1000);

    assert_eq!(
        broken(&with(produced(&[OK]), [process], 1)),
        Promise::Phantom
    );
}

#[test]
fn a_handler_sees_the_record_that_is_there() {
    let mut evidence = with(
        produced(&[OK]),
        [Story::from(0, 0).handles(10, 0).stops(1000)],
        1,
    );
    evidence.produced.get_mut(&P).unwrap()[0].n = 7;

    assert_eq!(broken(&evidence), Promise::Garbled);
}

#[test]
fn twice_after_a_drained_rebalance_has_no_reason() {
    let first = Story::from(0, 0)
        .handles(10, 0)
        .revoked(5000, 0)
        .stops(9000);
    let second = Story::from(5100, 0).handles(5200, 0).stops(9000);

    let evidence = with(produced(&[OK]), [first, second], 1);

    assert_eq!(broken(&evidence), Promise::Duplicate);
    assert_eq!(judged(&evidence).figures.duplicates[&Cause::None], 1);
}

#[test]
fn twice_after_a_kill_is_allowed_for_what_could_not_be_committed() {
    let records = || produced(&[OK]);
    let killed_at = |ms| {
        let first = Story::from(0, 0).handles(10, 0).killed(ms);
        let second = Story::from(ms + 7000, 0)
            .handles(ms + 7100, 0)
            .stops(ms + 9000);
        with(records(), [first, second], 1)
    };

    let judgement = passes(&killed_at(1000));
    assert_eq!(judgement.figures.duplicates[&Cause::Kill], 1);
    assert_eq!(broken(&killed_at(10_000)), Promise::Duplicate);
}

#[test]
fn twice_after_a_kill_is_allowed_above_a_record_that_held_the_commit() {
    let records = produced(&[("a", Kind::Ok), ("b", Kind::Ok)]);
    let first = Story::from(0, 0)
        .handles(10, 1)
        .begun(30, 0, 1)
        .killed(10_000);
    let second = Story::from(17_000, 0)
        .handles(17_100, 0)
        .handles(17_200, 1)
        .stops(18_000);

    let judgement = passes(&with(records, [first, second], 2));

    assert_eq!(judgement.figures.duplicates[&Cause::Kill], 1);
    assert_eq!(judgement.figures.kills_in_flight, 1);
}

#[test]
fn twice_after_a_loss_is_allowed_for_what_could_not_be_committed() {
    let lost = |suspended| {
        let first = Story::from(0, 0).handles(10, 0);
        let first = match suspended {
            Some(from) => first.suspended(from, 19_900),
            None => first,
        };
        let first = first.line(20_000, Entry::Lost(vec![P])).stops(21_000);
        let second = Story::from(19_000, 0).handles(19_100, 0).stops(21_000);
        with(produced(&[OK]), [first, second], 1)
    };

    let judgement = passes(&lost(Some(1000)));
    assert_eq!(judgement.figures.duplicates, [(Cause::Loss, 1)].into());
    assert_eq!(broken(&lost(Some(10_000))), Promise::Duplicate);
    assert_eq!(broken(&lost(None)), Promise::Duplicate);
}

#[test]
fn twice_above_a_record_whose_retry_was_given_up_is_told() {
    let is_held = |is_gone| {
        let first = Story::from(0, 0)
            .begun(10, 0, 1)
            .ended(20, Ending::Failed)
            .handles(30, 1)
            .revoked(50, 0)
            .stops(900);
        let second = Story::from(100, 0)
            .handles(110, 0)
            .handles(130, 1)
            .stops(900);
        let records = produced(&[("a", Kind::Transient { fails: 1 }), ("b", Kind::Ok)]);
        let mut evidence = with(records, [first, second], 2);
        evidence.produced.get_mut(&P).unwrap()[0].is_gone = is_gone;
        evidence
    };

    for is_gone in [false, true] {
        let evidence = is_held(is_gone);
        assert_eq!(broken(&evidence), Promise::Duplicate);
        let causes = judged(&evidence).figures.duplicates;
        assert_eq!(causes, [(Cause::Held, 1)].into());
    }
}

#[test]
fn twice_above_a_record_that_a_whole_grace_was_too_short_for_is_no_surprise() {
    let first = Story::from(0, 0)
        .begun(10, 0, 1)
        .handles(30, 1)
        .ended(5600, Ending::Dropped)
        .stops_out_of_time(5610);
    let second = Story::from(6000, 0)
        .handles(6010, 0)
        .handles(6020, 1)
        .stops(7000);
    let records = produced(&[OK, ("b", Kind::Ok)]);

    let judgement = passes(&with(records, [first, second], 2));
    assert_eq!(judgement.figures.duplicates, [(Cause::Drop, 1)].into());
}

#[test]
fn no_duplicate_is_allowed_where_none_is_expected() {
    let first = Story::from(0, 0).handles(10, 0).revoked(100, 1).stops(900);
    let second = Story::from(200, 0).handles(300, 0).stops(900);
    let evidence = with(produced(&[OK]), [first, second], 1);
    let expectation = Expectation {
        no_duplicates: true,
        ..Expectation::default()
    };

    passes(&evidence);
    assert_eq!(judge(&evidence, expectation).verdict(), Verdict::Fail);
}

#[test]
fn twice_in_one_epoch_is_out_of_order() {
    let process = Story::from(0, 0).handles(10, 0).handles(30, 0).stops(1000);

    let counts = judged(&with(produced(&[OK]), [process], 1)).counts();

    assert!(counts.contains_key(&Promise::Order), "{counts:?}");
}

#[test]
fn a_step_back_is_out_of_order() {
    let process = Story::from(0, 0).handles(10, 1).handles(30, 0).stops(1000);

    assert_eq!(
        broken(&with(produced(&[OK, OK]), [process], 2)),
        Promise::Order
    );
}

#[test]
fn a_gap_in_a_key_is_out_of_order() {
    let first = Story::from(0, 0).handles(10, 0).handles(30, 2).killed(100);
    let second = Story::from(7000, 1)
        .handles(7100, 1)
        .handles(7200, 2)
        .stops(8000);

    let evidence = with(produced(&[OK, OK, OK]), [first, second], 3);

    assert_eq!(broken(&evidence), Promise::Order);
}

#[test]
fn an_epoch_begins_with_the_first_record_of_a_key_that_is_left() {
    let first = Story::from(0, 0).handles(10, 1).killed(100);
    let second = Story::from(7000, 0)
        .handles(7100, 0)
        .handles(7200, 1)
        .stops(8000);

    let evidence = with(produced(&[OK, OK]), [first, second], 2);

    assert_eq!(broken(&evidence), Promise::Order);
}

#[test]
fn the_next_record_of_a_key_waits_for_the_dead_letter() {
    let given_up = |written, next| {
        let letter = Entry::DeadLettered {
            at: at(0),
            attempts: 1,
        };
        let story = Story::from(0, 0).begun(10, 0, 1).ended(20, Ending::Failed);
        let process = if written < next {
            story.line(written, letter).handles(next, 1)
        } else {
            story.handles(next, 1).line(written, letter)
        };
        let records = produced(&[("a", Kind::Permanent), ("a", Kind::Ok)]);
        let mut evidence = with(records, [process.stops(1000)], 2);
        evidence.dead_letters = vec![self::letter(0, "permanent")];
        evidence
    };

    passes(&given_up(30, 40));
    assert_eq!(broken(&given_up(60, 40)), Promise::Order);
}

#[test]
fn attempts_count_up() {
    let process = Story::from(0, 0)
        .begun(10, 0, 1)
        .ended(20, Ending::Failed)
        .begun(30, 0, 3)
        .ended(40, Ending::Ok)
        .stops(1000);

    let evidence = with(
        produced(&[("a", Kind::Transient { fails: 1 })]),
        [process],
        1,
    );

    assert_eq!(broken(&evidence), Promise::Order);
}

#[test]
fn records_without_a_key_have_no_order() {
    let records = produced(&[("", Kind::Ok), ("", Kind::Ok)]);
    let process = Story::from(0, 0).handles(10, 1).handles(15, 0).stops(1000);

    passes(&with(records, [process], 2));
}

#[test]
fn two_calls_of_a_key_at_the_same_time_overlap() {
    let first = Story::from(0, 0)
        .begun(10, 0, 1)
        .revoked(50, 1)
        .ended(200, Ending::Dropped)
        .stops(1000);
    let second = || Story::from(60, 0).handles(100, 0).stops(1000);

    let evidence = with(produced(&[OK]), [first, second()], 1);
    assert_eq!(broken(&evidence), Promise::Overlap);

    let asleep = Story::from(0, 0)
        .suspended(20, 190)
        .begun(10, 0, 1)
        .ended(200, Ending::Dropped)
        .line(210, Entry::Lost(vec![P]))
        .stops(1000);
    passes(&with(produced(&[OK]), [asleep, second()], 1));
}

#[test]
fn a_call_after_the_partition_went_is_foreign() {
    let first = Story::from(0, 0)
        .handles(10, 0)
        .revoked(50, 0)
        .handles(400, 1)
        .stops(1000);
    let second = Story::from(60, 1).handles(100, 1).stops(1000);

    let judgement = judged(&with(produced(&[OK, OK]), [first, second], 2));

    assert!(judgement.counts().contains_key(&Promise::Foreign));
    assert_eq!(judgement.figures.foreign, 1);
}

#[test]
fn a_call_after_another_member_got_the_partition_is_foreign() {
    let wakes_and_begins_at = |ms, lost| {
        let zombie = Story::from(0, 0)
            .suspended(50, 8000)
            .handles(10, 0)
            .handles(ms, 1)
            .line(lost, Entry::Lost(vec![P]))
            .stops(9000);
        let heir = Story::from(6000, 1).handles(6100, 1).stops(9000);
        judged(&with(produced(&[OK, OK]), [zombie, heir], 2))
    };

    let judgement = wakes_and_begins_at(8300, 8400);
    assert!(judgement.counts().contains_key(&Promise::Foreign));
    assert_eq!(judgement.figures.foreign, 1);

    // The turn in which it fell asleep.
    let judgement = wakes_and_begins_at(8001, 8020);
    assert_eq!(judgement.violations, []);
    assert_eq!(judgement.figures.foreign, 1);
}

#[test]
fn twice_after_a_stop_is_allowed_only_if_a_rebalance_outlasted_it() {
    let stopped_at = |ms, kind| {
        let first = Story::from(0, 0).handles(10, 0).stops_out_of_time(ms);
        let second = Story::from(ms + 100, 0)
            .handles(ms + 110, 0)
            .stops(ms + 200);
        let mut evidence = with(produced(&[OK]), [first, second], 1);
        evidence.strikes = vec![strike(0, kind)];
        evidence
    };

    let judgement = passes(&stopped_at(6000, StrikeKind::Kill));
    assert_eq!(judgement.figures.duplicates, [(Cause::Rebalance, 1)].into());
    for (ms, kind) in [(20_000, StrikeKind::Kill), (6000, StrikeKind::Denied)] {
        assert_eq!(broken(&stopped_at(ms, kind)), Promise::Duplicate);
    }

    let expectation = Expectation {
        no_duplicates: true,
        ..Expectation::default()
    };
    let judgement = judge(&stopped_at(5000, StrikeKind::Kill), expectation);
    assert_eq!(judgement.counts(), [(Promise::Duplicate, 1)].into());
}

fn copy(offset: i64, stage: usize, ms: u64) -> ParkedCopy {
    ParkedCopy {
        at: at(offset),
        stage,
        offset,
        ns: millis(ms),
    }
}

/// The first record of a key fails twice and is parked at 30 ms, the second one follows it at 40 ms.
fn parks() -> Story {
    let parked = |attempts, offset| Entry::Parked {
        at: at(offset),
        attempts,
    };
    Story::from(0, 0)
        .begun(10, 0, 1)
        .ended(15, Ending::Failed)
        .begun(20, 0, 2)
        .ended(25, Ending::Failed)
        .line(30, parked(2, 0))
        .line(40, parked(0, 1))
}

fn parked(process: Process, others: impl IntoIterator<Item = Process>) -> Evidence {
    let records = produced(&[("a", Kind::Transient { fails: 2 }), OK, OK]);
    let mut evidence = with(records, std::iter::once(process).chain(others), 3);
    evidence.parked = vec![copy(0, 1, 30), copy(1, 1, 40)];
    evidence.samples = vec![sample(100, 2)];
    evidence
}

#[test]
fn what_lies_in_a_retry_topic_may_be_committed_past_but_not_before() {
    let process = || {
        parks()
            .begun(600, 0, 3)
            .ended(610, Ending::Ok)
            .handles(620, 1)
            .handles(640, 2)
            .stops(1000)
    };

    let judgement = passes(&parked(process(), []));
    assert_eq!(judgement.figures.parked, 2);

    let mut too_early = parked(process(), []);
    too_early.samples = vec![sample(35, 2)];
    assert_eq!(broken(&too_early), Promise::Past);

    let mut written_in_the_end = parked(process(), []);
    written_in_the_end.parked[1].ns = millis(700);
    assert_eq!(broken(&written_in_the_end), Promise::Past);
}

#[test]
fn what_was_parked_and_never_handled_is_lost() {
    let process = parks().begun(600, 0, 3).ended(610, Ending::Ok).stops(1000);
    let mut evidence = parked(process, []);
    evidence.produced.get_mut(&P).unwrap().truncate(2);

    assert_eq!(broken(&evidence), Promise::Lost);
}

#[test]
fn a_retry_topic_is_committed_to_its_end() {
    let process = parks()
        .begun(600, 0, 3)
        .ended(610, Ending::Ok)
        .handles(620, 1)
        .handles(640, 2)
        .stops(1000);
    let mut evidence = parked(process, []);
    evidence.retry_topics = vec![RetryTopic {
        name: "g.t.retry.1s".into(),
        number: 0,
        committed: 1,
        end: 2,
    }];

    assert_eq!(broken(&evidence), Promise::Unfinished);
}

#[test]
fn the_key_of_a_parked_record_waits_for_it_also_in_other_hands() {
    let moves = |first: i64, second: i64| {
        let mut heir = Story::from(600, 2);
        for (ms, offset) in [(610, first), (630, second)] {
            let attempt = if offset == 0 { 3 } else { 1 };
            heir = heir.begun(ms, offset, attempt).ended(ms + 5, Ending::Ok);
        }
        let heir = heir.handles(650, 2).stops(1000);
        parked(parks().revoked(500, 0).stops(900), [heir])
    };

    passes(&moves(0, 1));
    assert_eq!(broken(&moves(1, 0)), Promise::Order);

    // The next record of the source passes both.
    let heir = Story::from(600, 2)
        .handles(605, 2)
        .begun(620, 0, 3)
        .ended(625, Ending::Ok)
        .handles(630, 1)
        .stops(1000);
    let passed = parked(parks().revoked(500, 0).stops(900), [heir]);
    assert_eq!(broken(&passed), Promise::Order);
}

#[test]
fn an_attempt_of_a_parked_record_follows_those_that_it_had() {
    let with_attempt = |attempt| {
        let heir = Story::from(600, 2)
            .begun(610, 0, attempt)
            .ended(615, Ending::Ok)
            .handles(620, 1)
            .handles(640, 2)
            .stops(1000);
        parked(parks().revoked(500, 0).stops(900), [heir])
    };

    passes(&with_attempt(3));
    assert_eq!(broken(&with_attempt(4)), Promise::Order);
}

#[test]
fn what_lies_twice_in_a_retry_topic_is_known_to_be_handled_twice() {
    let again = |copies: &[ParkedCopy]| {
        let process = parks()
            .begun(600, 0, 3)
            .ended(610, Ending::Ok)
            .handles(620, 1)
            .handles(640, 2)
            .begun(700, 0, 3)
            .ended(710, Ending::Ok)
            .stops(1000);
        let mut evidence = parked(process, []);
        evidence.parked.extend_from_slice(copies);
        evidence
    };

    let mut twice = again(&[ParkedCopy {
        offset: 2,
        ..copy(0, 1, 50)
    }]);
    twice.dead_letters.clear();
    let mut judgement = passes(&twice);
    assert_eq!(judgement.known_counts(), [(Known::ParkedTwice, 2)].into());
    judgement.be_strict();
    assert_eq!(judgement.verdict(), Verdict::Fail);

    let counts = judged(&again(&[])).counts();
    assert!(counts.contains_key(&Promise::Order), "{counts:?}");
    assert!(counts.contains_key(&Promise::Duplicate), "{counts:?}");
}

#[test]
fn what_is_finished_in_a_retry_topic_is_held_by_what_lies_before_it_there() {
    // Another key's first record is begun from the retry topic, and not finished when the worker is killed much later.
    let killed = |is_before: bool, is_begun: bool| {
        let parked = |offset| Entry::Parked {
            at: at(offset),
            attempts: 1,
        };
        let first = Story::from(0, 0)
            .line(20, parked(0))
            .line(30, parked(1))
            .handles(600, 1);
        let first = if is_begun {
            first.begun(700, 0, 2)
        } else {
            first
        };
        let first = first.killed(20_000);
        let second = Story::from(27_000, 2)
            .begun(27_100, 0, 2)
            .ended(27_110, Ending::Ok)
            .handles(27_200, 1)
            .stops(28_000);
        let records = produced(&[("b", Kind::Transient { fails: 1 }), OK]);
        let mut evidence = with(records, [first, second], 2);
        let place = |offset, place| ParkedCopy {
            offset: place,
            ..copy(offset, 1, 30)
        };
        evidence.parked = if is_before {
            vec![place(0, 0), place(1, 1)]
        } else {
            vec![place(1, 0), place(0, 1)]
        };
        evidence
    };

    for is_begun in [true, false] {
        let judgement = passes(&killed(true, is_begun));
        assert_eq!(judgement.figures.duplicates, [(Cause::Kill, 1)].into());
        assert_eq!(broken(&killed(false, is_begun)), Promise::Duplicate);
    }
}

#[test]
fn what_is_finished_behind_a_parked_record_that_nobody_has_begun_is_known() {
    let parked = |offset| Entry::Parked {
        at: at(offset),
        attempts: 1,
    };
    let first = Story::from(0, 0)
        .line(20, parked(0))
        .line(30, parked(1))
        .handles(600, 1)
        .revoked(1000, 0)
        .stops(20_000);
    let second = Story::from(1100, 2)
        .begun(1200, 0, 2)
        .ended(1210, Ending::Ok)
        .handles(1300, 1)
        .stops(20_000);
    let records = produced(&[("b", Kind::Transient { fails: 1 }), OK]);
    let mut evidence = with(records, [first, second], 2);
    let place = |offset| ParkedCopy {
        offset,
        ..copy(offset, 1, 30)
    };
    evidence.parked = vec![place(0), place(1)];

    let judgement = judged(&evidence);
    assert_eq!(judgement.known_counts(), [(Known::ParkedBehind, 1)].into());
    assert_eq!(judgement.violations, []);
}

#[test]
fn a_batch_that_left_a_record_undone_has_had_an_attempt() {
    let later = |is_told: bool| {
        let story = Story::from(0, 0).begun(10, 0, 1).ended(15, Ending::Failed);
        let passed = Entry::Passed {
            at: at(1),
            attempt: 1,
        };
        let story = if is_told {
            story.line(20, passed)
        } else {
            story
        };
        let process = story
            .begun(30, 0, 2)
            .ended(35, Ending::Ok)
            .begun(40, 1, 2)
            .ended(45, Ending::Ok)
            .stops(1000);
        let records = produced(&[("a", Kind::Transient { fails: 1 }), OK]);
        with(records, [process], 2)
    };

    passes(&later(true));
    assert_eq!(broken(&later(false)), Promise::Order);
}

#[test]
fn a_record_that_is_to_be_skipped_lets_the_next_one_pass_before_the_batch_ends() {
    let passes_at = |how| {
        let process = Story::from(0, 0)
            .begun(10, 0, 1)
            .ended(15, how)
            .handles(20, 1)
            .line(40, Entry::Skipped { at: at(0) })
            .stops(1000);
        with(produced(&[("a", Kind::Skip), OK]), [process], 2)
    };

    passes(&passes_at(Ending::Skip));
    assert_eq!(broken(&passes_at(Ending::Failed)), Promise::Order);
}

#[test]
fn a_record_that_followed_others_may_run_out_of_retry_topics() {
    let given_up = |attempts| {
        let process = Story::from(0, 0)
            .line(
                10,
                Entry::Parked {
                    at: at(0),
                    attempts,
                },
            )
            .line(
                20,
                Entry::DeadLettered {
                    at: at(0),
                    attempts: 2,
                },
            )
            .stops(1000);
        let records = produced(&[("a", Kind::Transient { fails: 2 })]);
        let mut evidence = with(records, [process], 1);
        evidence.dead_letters = vec![letter(0, "retryable")];
        evidence
    };

    passes(&given_up(0));
    assert_eq!(broken(&given_up(2)), Promise::DeadLetter);
}

#[test]
fn a_record_that_batches_left_undone_may_be_given_up() {
    let given_up = |kind, is_passed: bool| {
        let mut story = Story::from(0, 0);
        if is_passed {
            let (at, attempt) = (at(0), 1);
            story = story.line(10, Entry::Passed { at, attempt });
        }
        let dead = Entry::DeadLettered {
            at: at(0),
            attempts: 2,
        };
        let process = story.line(20, dead).stops(1000);
        let mut evidence = with(produced(&[("a", kind)]), [process], 1);
        evidence.dead_letters = vec![letter(0, "retryable")];
        evidence
    };

    for kind in [Kind::Ok, Kind::Permanent] {
        passes(&given_up(kind, true));
        assert_eq!(broken(&given_up(kind, false)), Promise::DeadLetter);
    }
}

/// A record that cannot be decoded, and many of other keys behind it; dead letters are denied from 1 s to 9 s.
fn denied(handles: impl Fn(i64) -> u64) -> Evidence {
    let keys: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
    let mut kinds = vec![("a", Kind::Decode)];
    kinds.extend(keys.iter().map(|key| (key.as_str(), Kind::Ok)));
    let mut records = produced(&kinds);
    for record in records.produced.get_mut(&P).unwrap() {
        record.ns = millis(2000);
    }
    let mut story = Story::from(0, 0).line(2100, Entry::Delayed { at: at(0) });
    for offset in 1..=20 {
        story = story.handles(handles(offset), offset);
    }
    let process = story
        .line(
            10_000,
            Entry::DeadLettered {
                at: at(0),
                attempts: 1,
            },
        )
        .stops(30_000);
    let mut evidence = with(records, [process], 21);
    evidence.strikes = vec![
        strike(1000, StrikeKind::Denied),
        strike(9000, StrikeKind::Allowed),
    ];
    evidence.dead_letters = vec![letter(0, "decode")];
    evidence
}

#[test]
fn other_keys_go_on_while_dead_letters_are_denied() {
    let number = |offset: i64| u64::try_from(offset).unwrap();

    let judgement = passes(&denied(|offset| 2200 + 20 * number(offset)));
    assert_eq!(judgement.figures.delays, 1);
    let stands_still = denied(|offset| 9500 + 20 * number(offset));
    assert_eq!(broken(&stands_still), Promise::Stall);
}

#[test]
fn twice_above_a_dead_letter_that_was_denied_has_a_reason() {
    let stops_in = |strikes: Vec<Strike>| {
        let first = Story::from(0, 0)
            .line(2100, Entry::Delayed { at: at(0) })
            .handles(2200, 1)
            .stops(5000);
        let second = Story::from(5200, 0)
            .line(
                9500,
                Entry::DeadLettered {
                    at: at(0),
                    attempts: 1,
                },
            )
            .handles(9600, 1)
            .stops(10_000);
        let records = produced(&[("a", Kind::Decode), ("b", Kind::Ok)]);
        let mut evidence = with(records, [first, second], 2);
        evidence.dead_letters = vec![letter(0, "decode")];
        evidence.strikes = strikes;
        evidence
    };

    let judgement = passes(&stops_in(vec![
        strike(1000, StrikeKind::Denied),
        strike(9000, StrikeKind::Allowed),
    ]));
    assert_eq!(judgement.figures.duplicates, [(Cause::Denied, 1)].into());
    assert_eq!(broken(&stops_in(Vec::new())), Promise::Duplicate);
}

#[test]
fn what_counts_for_a_commit_is_when_the_records_below_were_finished_too() {
    // The first record is finished while the group rebalances, the second one long before.
    let stops_with = |is_out_of_time: bool, strikes| {
        let first = Story::from(0, 0)
            .begun(100, 1, 1)
            .ended(110, Ending::Ok)
            .handles(9000, 0);
        let first = if is_out_of_time {
            first.stops_out_of_time(9500)
        } else {
            first.stops(9500)
        };
        let second = Story::from(9600, 0)
            .handles(9700, 0)
            .handles(9800, 1)
            .stops(20_000);
        let records = produced(&[OK, ("b", Kind::Ok)]);
        let mut evidence = with(records, [first, second], 2);
        evidence.strikes = strikes;
        evidence
    };
    let strikes = |kind| vec![strike(8000, kind)];

    for kind in [StrikeKind::Kill, StrikeKind::Join] {
        let judgement = passes(&stops_with(true, strikes(kind)));
        assert_eq!(judgement.figures.duplicates, [(Cause::Rebalance, 2)].into());
        // There was time to wait for the commit.
        let evidence = stops_with(false, strikes(kind));
        assert_eq!(broken(&evidence), Promise::Duplicate);
    }
    // Nobody else was the reason.
    let mut own = strikes(StrikeKind::Terminate);
    own[0].what = format!(
        "terminate {}",
        stops_with(true, Vec::new()).processes[0].name
    );
    assert_eq!(broken(&stops_with(true, own)), Promise::Duplicate);
}

#[test]
fn what_was_deleted_unhandled_is_in_a_report() {
    let told = |text: &str| {
        let process = Story::from(0, 0)
            .handles(10, 0)
            .line(20, Entry::OutOfRange(text.into()))
            .handles(30, 3)
            .stops(1000);
        let mut evidence = with(produced(&[OK, OK, OK, OK]), [process], 4);
        for record in &mut evidence.produced.get_mut(&P).unwrap()[..3] {
            record.is_gone = true;
        }
        evidence.deletions = vec![Deletion {
            partition: P,
            before: 3,
            ns: millis(15),
        }];
        evidence
    };
    let report =
        |place: &str| format!("{place} is outside of what the broker has, 3 to 4; going on at 3");

    let judgement = passes(&told(&report("t[0]: committed offset 1")));
    assert_eq!(judgement.figures.deleted, 2);
    assert_eq!(judgement.figures.out_of_range, 1);
    passes(&told(&report("t[0]: the next offset 1")));
    for text in [
        report("t[0]: committed offset 2"),
        report("t[1]: committed offset 1"),
        "t[0]: committed offset 1 is outside of what the broker has, 2 to 4".into(),
        "who knows".into(),
    ] {
        assert_eq!(broken(&told(&text)), Promise::Unreported, "{text}");
    }
}

#[test]
fn an_offset_that_is_out_of_range_without_a_deletion_is_told() {
    let process = Story::from(0, 0)
        .handles(10, 0)
        .line(20, Entry::OutOfRange("t[0]: the next offset 1".into()))
        .stops(1000);

    assert_eq!(
        broken(&with(produced(&[OK]), [process], 1)),
        Promise::Unreported
    );
}

#[test]
fn dead_letters_are_exact() {
    let judged_with = |letters: Vec<DeadLetter>| {
        let process = Story::from(0, 0)
            .line(
                10,
                Entry::DeadLettered {
                    at: at(0),
                    attempts: 1,
                },
            )
            .handles(20, 1)
            .stops(1000);
        let mut evidence = with(produced(&[("b", Kind::Decode), OK]), [process], 2);
        evidence.dead_letters = letters;
        evidence
    };
    let changed = |change: fn(&mut Content)| {
        let mut letter = letter(0, "decode");
        change(&mut letter.content);
        judged_with(vec![letter])
    };

    passes(&judged_with(vec![letter(0, "decode")]));
    let wrong = [
        judged_with(Vec::new()),
        judged_with(vec![letter(0, "decode"), letter(1, "decode")]),
        judged_with(vec![letter(0, "decode"), letter(9, "decode")]),
        judged_with(vec![letter(0, "permanent")]),
        changed(|content| content.value = None),
        changed(|content| content.key = Some(Vec::new())),
        changed(|content| content.headers.swap(0, 1)),
        changed(|content| content.headers.push(("h".into(), None))),
        changed(|content| {
            let last = content.headers.last().cloned().unwrap();
            content.headers.push(last);
        }),
        changed(|content| content.headers.clear()),
    ];
    for evidence in wrong {
        assert_eq!(broken(&evidence), Promise::DeadLetter);
    }
}

#[test]
fn records_that_compaction_took_need_not_be_handled() {
    let mut evidence = produced(&[OK, OK, OK]);
    evidence.produced.get_mut(&P).unwrap()[1].is_gone = true;
    let process = Story::from(0, 0).handles(10, 0).handles(30, 2).stops(1000);

    passes(&with(evidence, [process], 3));
}

#[test]
fn a_partition_that_stands_still_is_told() {
    let stands_still = |outage: Option<(u64, u64)>| {
        let process = Story::from(0, 0)
            .handles(10, 0)
            .handles(60_000, 1)
            .stops(61_000);
        let mut evidence = with(produced(&[OK, OK]), [process], 2);
        if let Some((from, until)) = outage {
            evidence.strikes = vec![
                strike(from, StrikeKind::Outage),
                strike(until, StrikeKind::Healed),
            ];
        }
        evidence
    };

    assert_eq!(broken(&stands_still(None)), Promise::Stall);
    passes(&stands_still(Some((1000, 50_000))));
    assert_eq!(broken(&stands_still(Some((1000, 3000)))), Promise::Stall);
}

fn strike(ms: u64, kind: StrikeKind) -> Strike {
    Strike {
        ns: millis(ms),
        what: format!("{kind:?}"),
        kind,
    }
}

#[test]
fn a_fault_has_to_be_got_over_in_time() {
    let got_over_at = |ms| {
        let first = Story::from(0, 0).handles(10, 0).killed(1000);
        let second = Story::from(ms - 10, 1).handles(ms, 1).stops(ms + 100);
        let mut evidence = with(produced(&[OK, OK]), [first, second], 2);
        evidence.strikes = vec![strike(1000, StrikeKind::Kill)];
        evidence
    };

    let judgement = passes(&got_over_at(8000));
    let expected = (StrikeKind::Kill, Duration::from_millis(7010));
    assert_eq!(judgement.figures.recoveries, [expected]);
    assert_eq!(broken(&got_over_at(20_000)), Promise::Stall);
}

#[test]
fn who_joins_after_a_kill_does_not_end_the_wait() {
    let got_over_at = |ms, kind| {
        let first = Story::from(0, 0).handles(10, 0).killed(1000);
        let second = Story::from(ms - 10, 1).handles(ms, 1).stops(ms + 100);
        let mut evidence = with(produced(&[OK, OK]), [first, second], 2);
        evidence.strikes = vec![strike(1000, StrikeKind::Kill), strike(1500, kind)];
        evidence
    };

    let judgement = passes(&got_over_at(8000, StrikeKind::Join));
    assert_eq!(judgement.figures.recoveries.len(), 1);
    assert_eq!(
        broken(&got_over_at(20_000, StrikeKind::Join)),
        Promise::Stall
    );
    // A time with two faults in it is no measure of either.
    let judgement = passes(&got_over_at(20_000, StrikeKind::Suspend));
    assert_eq!(judgement.figures.recoveries, []);
}

#[test]
fn a_partition_that_stands_still_soon_after_a_join_has_not_got_over_it() {
    let stands_until = |ms| {
        let process = Story::from(0, 0)
            .handles(1100, 0)
            .handles(2000, 1)
            .handles(ms, 2)
            .stops(ms + 100);
        let mut evidence = with(produced(&[OK, OK, OK]), [process], 3);
        evidence.strikes = vec![strike(1000, StrikeKind::Join)];
        evidence
    };

    let judgement = passes(&stands_until(8000));
    let expected = (StrikeKind::Join, Duration::from_millis(7010));
    assert_eq!(judgement.figures.recoveries, [expected]);
    assert_eq!(broken(&stands_until(12_000)), Promise::Stall);
}

#[test]
fn a_stop_takes_its_grace_and_two_seconds_at_most() {
    let evidence = |after| {
        let process = Story::from(0, 0).handles(10, 0).stops_late(1000, after);
        with(produced(&[OK]), [process], 1)
    };

    passes(&evidence(6900));
    assert_eq!(broken(&evidence(7100)), Promise::Stop);
}

#[test]
fn a_busy_machine_is_in_doubt_for_up_to_twice_the_limit() {
    let stops_after = |ms, lateness| {
        let process = Story::from(0, 0).handles(10, 0).stops_late(1000, ms);
        let mut evidence = with(produced(&[OK]), [process], 1);
        evidence.lateness = Duration::from_millis(lateness);
        judged(&evidence).verdict()
    };

    assert_eq!(stops_after(8000, 900), Verdict::Inconclusive);
    assert_eq!(stops_after(8000, 100), Verdict::Fail);
    assert_eq!(stops_after(15_000, 900), Verdict::Fail);
}

#[test]
fn a_worker_that_ends_by_itself_is_told() {
    let process = Story::from(0, 0)
        .handles(10, 0)
        .ends(1000, End::ByItself("signal 11".into()));

    assert_eq!(broken(&with(produced(&[OK]), [process], 1)), Promise::Death);
}

#[test]
fn a_run_without_its_faults_proves_nothing() {
    let process = Story::from(0, 0).handles(10, 0).stops(1000);
    let evidence = with(produced(&[OK]), [process], 1);
    let wanted = [
        Expectation {
            kills_in_flight: 1,
            ..Expectation::default()
        },
        Expectation {
            rebalances: 1,
            ..Expectation::default()
        },
        Expectation {
            losses: 1,
            ..Expectation::default()
        },
        Expectation {
            outages: 1,
            ..Expectation::default()
        },
        Expectation {
            dead_letters: 1,
            ..Expectation::default()
        },
        Expectation {
            delays: 1,
            ..Expectation::default()
        },
        Expectation {
            out_of_range: 1,
            ..Expectation::default()
        },
        Expectation {
            deleted: 1,
            ..Expectation::default()
        },
        Expectation {
            parked: 1,
            ..Expectation::default()
        },
    ];

    for expectation in wanted {
        let judgement = judge(&evidence, expectation);
        assert_eq!(
            judgement.verdict(),
            Verdict::Inconclusive,
            "{expectation:?}"
        );
    }
}

#[test]
fn a_run_without_records_proves_nothing() {
    assert_eq!(
        judged(&Evidence::default()).verdict(),
        Verdict::Inconclusive
    );
}
