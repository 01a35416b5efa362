//! Records that a handler does not want: acked in their place, without a call, a permit, a failure or a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Bench, DEAD, Seen, TOPIC, at, routes};
use crate::client::Polled;
use crate::engine::poll::Command;
use crate::{Batch, Breaker, Handler, Operation, Retry};

const A_MOMENT: Duration = Duration::from_millis(300);
const RETRY: &str = "g.t.retry.10m";

#[derive(Clone, serde::Deserialize)]
struct Event {
    after: Row,
}

#[derive(Clone, serde::Deserialize)]
struct Row {
    n: String,
}

fn event(op: &str, n: &str) -> String {
    format!(r#"{{"before":null,"after":{{"n":"{n}"}},"source":{{}},"op":"{op}"}}"#)
}

/// Appends events, each an operation and a name that begins with its key.
fn append(bench: &Bench, events: &[&str]) {
    for text in events {
        let (op, n) = text.split_once(' ').unwrap();
        bench.append(&n[..1], &event(op, n));
    }
}

/// A handler of creates that notes each, then waits for a permit of the gate.
fn gated(seen: &Seen, gate: &Arc<Semaphore>) -> Handler {
    let (seen, gate) = (seen.clone(), Arc::clone(gate));
    let handler = Handler::new(TOPIC, move |event: Event| {
        let (seen, gate) = (seen.clone(), Arc::clone(&gate));
        async move {
            seen.push(event.after.n);
            gate.acquire().await.unwrap().forget();
        }
    });
    handler.operations([Operation::Create])
}

/// A handler that notes each event, and fails until it is healed.
fn failing(seen: &Seen, is_healed: &Arc<AtomicBool>) -> Handler {
    let (seen, is_healed) = (seen.clone(), Arc::clone(is_healed));
    let handler = Handler::new(TOPIC, move |event: Event| {
        let is_healed = is_healed.load(Atomic::SeqCst);
        seen.push(event.after.n);
        async move { is_healed.then_some(()).ok_or("no") }
    });
    handler.retry(Retry::NONE)
}

fn filtered(bench: &Bench) -> u64 {
    let status = bench.monitor.status();
    assert_eq!(status.filtered(), status.partitions[0].filtered);
    status.filtered()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_is_acked_and_counted() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(9)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;

    append(&bench, &["u a1", "c a2", "d b1", "u c1", "c b2", "r a3"]);
    bench.pass(A_MOMENT).await;

    let mut all = seen.all();
    all.sort();
    assert_eq!(all, ["a2", "b2"]);
    assert_eq!(filtered(&bench), 4);
    assert_eq!(bench.broker.stored(&at(0)), Some(6));
    assert_eq!(bench.monitor.status().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_nothing_nothing_waits_for_it_and_it_moves_no_commit_past_what_runs() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate).concurrency(1)).await;

    append(&bench, &["u a1", "c a2", "u a3", "c a4", "u a5"]);
    bench.pass(A_MOMENT).await;

    // The call of a2 runs, a4 waits for it.
    assert_eq!(seen.all(), ["a2"]);
    assert_eq!(filtered(&bench), 3);
    assert_eq!(bench.broker.stored(&at(0)), Some(1));
    assert_eq!(bench.monitor.status().in_flight(), 2);
    gate.add_permits(9);
    bench.pass(A_MOMENT).await;
    assert_eq!(seen.all(), ["a2", "a4"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn it_takes_no_permit_and_what_waits_for_one_is_started_once() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate).concurrency(1)).await;

    append(&bench, &["c a1", "u b1", "c c1", "u d1", "c e1"]);
    bench.pass(A_MOMENT).await;
    gate.add_permits(9);
    bench.pass(A_MOMENT).await;

    let mut all = seen.all();
    all.sort();
    assert_eq!(all, ["a1", "c1", "e1"]);
    assert_eq!(filtered(&bench), 2);
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn many_in_a_row_take_several_turns() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(9)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;

    for _ in 0..5000 {
        append(&bench, &["u a"]);
    }
    append(&bench, &["c a"]);
    bench.pass(Duration::from_secs(2)).await;

    assert_eq!(seen.len(), 1);
    assert_eq!(filtered(&bench), 5000);
    assert_eq!(bench.broker.stored(&at(0)), Some(5001));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_is_neither_decoded_nor_too_large_and_what_is_no_event_fails_as_ever() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(9)));
    let mut bench = Bench::start(gated(&seen, &gate).max_payload(200)).await;
    let large = |op| event(op, &"x".repeat(1000));

    bench.append("a", &large("u"));
    bench.append("a", r#"{"before":null,"after":{"n":7},"op":"u"}"#);
    bench.append("a", "no event");
    bench.broker.append(&at(0), Some("a"), None);
    bench.append("a", &large("c"));
    bench.pass(A_MOMENT).await;

    let dead = bench.broker.read(DEAD);
    assert_eq!(dead.len(), 2);
    assert_eq!(dead[0].value.as_deref(), Some(&b"no event"[..]));
    // The tombstone was of a delete.
    assert_eq!(filtered(&bench), 3);
    assert_eq!(seen.len(), 0);
    assert_eq!(bench.broker.stored(&at(0)), Some(5));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_holds_back_only_what_is_wanted() {
    let (seen, is_healed) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let breaker = Breaker {
        ratio: 0.5,
        records: 2,
    };
    let handler = failing(&seen, &is_healed).breaker(breaker);
    let mut bench = Bench::start(handler.operations([Operation::Create])).await;
    append(&bench, &["c a", "c b", "c d", "c e"]);
    bench.pass(A_MOMENT).await;
    assert_eq!(bench.monitor.status().open_breakers.len(), 1);
    let failed = seen.len();

    append(&bench, &["u f", "u g", "u h", "u i"]);
    bench.pass(Duration::from_millis(500)).await;

    // Behind what waits in their lane they are, too.
    assert_eq!(seen.len(), failed);
    is_healed.store(true, Atomic::SeqCst);
    bench.pass(Duration::from_secs(5)).await;
    assert_eq!(filtered(&bench), 4);
    assert_eq!(bench.broker.stored(&at(0)), Some(8));
}

#[tokio::test(start_paused = true)]
async fn a_stop_commits_past_what_was_filtered() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let mut bench = Bench::start(gated(&seen, &gate)).await;
    append(&bench, &["u a", "c a", "u a"]);
    bench.rounds(2).await;

    bench.commands.send(Command::Stop).unwrap();
    bench.rounds(1).await;
    gate.add_permits(1);
    bench.pass(Duration::from_secs(1)).await;

    assert!(bench.is_done);
    assert_eq!(seen.len(), 1);
    assert_eq!(bench.broker.committed(&at(0)), Some(3));
}

#[tokio::test(start_paused = true)]
async fn it_does_not_follow_a_parked_record_of_its_key() {
    let (seen, is_healed) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let handler = failing(&seen, &is_healed).retry_topics([Duration::from_mins(10)]);
    let mut bench = Bench::start(handler.operations([Operation::Create])).await;

    append(&bench, &["c a1", "u a2", "c a3"]);
    bench.pass(A_MOMENT).await;

    let parked = bench.broker.read(RETRY);
    assert_eq!(parked.len(), 2);
    assert_eq!(filtered(&bench), 1);
    assert_eq!(bench.broker.stored(&at(0)), Some(3));
}

#[tokio::test(start_paused = true)]
async fn what_lies_parked_was_wanted_and_is_not_asked_about_again() {
    let (seen, is_healed) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let wait = [Duration::from_mins(10)];
    let (slow, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let updates = {
        let (slow, gate) = (slow.clone(), Arc::clone(&gate));
        Handler::new(TOPIC, move |event: Event| {
            let (slow, gate, n) = (slow.clone(), Arc::clone(&gate), event.after.n);
            async move {
                slow.push(&*n);
                if n.starts_with('s') {
                    gate.acquire().await.unwrap().forget();
                }
                Err::<(), _>("no")
            }
        })
    };
    let mut bench = Bench::start(updates.retry(Retry::NONE).retry_topics(wait)).await;
    // The first holds back the commit: the source brings the second again, which lies parked by then.
    append(&bench, &["u s1", "u a1"]);
    bench.pass(A_MOMENT).await;
    assert_eq!(bench.broker.read(RETRY).len(), 1);
    bench.broker.tell(Polled::Revoked(vec![at(0)]));
    bench.pass(Duration::from_secs(7)).await;

    // The next one does not want updates.
    let handler = failing(&seen, &is_healed).retry_topics(wait);
    let routes = routes(&handler.operations([Operation::Create]));
    bench.commands.send(Command::Routes(routes)).unwrap();
    is_healed.store(true, Atomic::SeqCst);
    bench.broker.tell(Polled::Assigned(vec![at(0)]));
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(filtered(&bench), 1);
    assert_eq!(seen.len(), 0);
    bench.pass(Duration::from_secs(610)).await;

    assert_eq!(seen.all(), ["a1"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_of_what_is_wanted() {
    let seen = Seen::default();
    let handler = {
        let seen = seen.clone();
        Handler::batch(TOPIC, move |batch: Batch<Event>| {
            let names: Vec<_> = batch.iter().map(|event| event.after.n.clone()).collect();
            seen.push(names.join(" "));
            async {}
        })
    };
    let handler = handler
        .batch_size(3)
        .linger(Duration::from_hours(1))
        .operations([Operation::Create]);
    let mut bench = Bench::start(handler).await;

    append(&bench, &["u a1", "u b1", "u c1", "d a2"]);
    bench.pass(A_MOMENT).await;
    assert_eq!(bench.broker.stored(&at(0)), Some(4));
    append(&bench, &["c a3", "u a4", "c b2", "u b3", "c c2", "u c3"]);
    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["a3 b2 c2"]);
    assert_eq!(filtered(&bench), 7);
    assert_eq!(bench.broker.stored(&at(0)), Some(10));
}

#[tokio::test(start_paused = true)]
async fn an_unwanted_record_starts_no_linger() {
    let seen = Seen::default();
    let handler = {
        let seen = seen.clone();
        Handler::batch(TOPIC, move |batch: Batch<Event>| {
            seen.push(batch.len().to_string());
            async {}
        })
    };
    let handler = handler
        .linger(Duration::from_secs(1))
        .operations([Operation::Create]);
    let mut bench = Bench::start(handler).await;

    append(&bench, &["u a1"]);
    bench.pass(Duration::from_millis(900)).await;
    append(&bench, &["c a2"]);
    bench.pass(Duration::from_millis(900)).await;
    assert_eq!(seen.len(), 0);
    bench.pass(A_MOMENT).await;

    assert_eq!(seen.all(), ["1"]);
    assert_eq!(bench.broker.stored(&at(0)), Some(2));
}
