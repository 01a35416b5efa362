//! Redrives on the in-memory broker.

use std::future::pending;
use std::sync::Mutex;

use super::*;
use crate::client::memory::{MemberId, MemoryBroker};
use crate::client::{Cluster, Consumer};
use crate::config::ProducerOptions;
use crate::error::ClientError;
use crate::producer::{Delivery, MessagePayload, ProduceError, ProducerClient};
use crate::record::TopicPartition;

const DEAD: &str = "billing.orders.dlq";

struct Memory(MemoryBroker, Arc<dyn ProducerClient>);

impl ClientFactory for Memory {
    fn consumer(&self, group_id: &str) -> Result<Box<dyn Consumer>, ClientError> {
        Ok(self.0.join(group_id).1)
    }

    fn producer(
        &self,
        _: Option<&ProducerOptions>,
    ) -> Result<Arc<dyn ProducerClient>, ClientError> {
        Ok(Arc::clone(&self.1))
    }

    fn cluster(&self) -> Result<Arc<dyn Cluster>, ClientError> {
        Ok(Arc::new(self.0.clone()))
    }
}

fn broker() -> MemoryBroker {
    let broker = MemoryBroker::default();
    for (topic, partitions) in [(DEAD, 1), ("orders", 2)] {
        broker.create_topic(topic, partitions, None, IDLE).unwrap();
    }
    broker
}

/// A record as the failure path writes it.
fn letter(value: &str) -> MessagePayload {
    MessagePayload::new(value)
        .key("k")
        .header("trace", "1")
        .header("kafka_runtime.dead_letter.topic", "orders")
        .header("kafka_runtime.dead_letter.partition", "1")
        .header("kafka_runtime.dead_letter.group", "billing")
        .header("kafka_runtime.dead_letter.handler", "on_order")
        .header("kafka_runtime.dead_letter.class", "permanent")
}

async fn dead(broker: &MemoryBroker, letters: impl IntoIterator<Item = MessagePayload>) {
    for letter in letters {
        broker.send(DEAD, letter).await.unwrap();
    }
}

async fn run(broker: &MemoryBroker, redrive: Redrive) -> Result<RedriveReport, RedriveError> {
    let producer = Arc::new(broker.clone());
    let factory = Arc::new(Memory(broker.clone(), producer));
    redrive.run_with(&Config::new(), factory, pending()).await
}

async fn redriven(broker: &MemoryBroker, redrive: Redrive) -> RedriveReport {
    run(broker, redrive).await.unwrap()
}

fn place(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

fn position(broker: &MemoryBroker) -> Option<i64> {
    let group_id = format!("{DEAD}.redrive");
    broker
        .committed(&group_id, &place(DEAD, 0))
        .map(|offset| offset.0)
}

/// The records of a partition.
fn written(broker: &MemoryBroker, partition: i32) -> i64 {
    let (_, end) = Cluster::ends(broker, &place("orders", partition), IDLE).unwrap();
    end.0
}

fn counts(report: &RedriveReport) -> [u64; 4] {
    [
        report.put_back,
        report.skipped,
        report.refused,
        report.failed,
    ]
}

#[tokio::test]
async fn records_go_back_to_their_partition_once() {
    let broker = broker();
    dead(&broker, ["a", "b", "c"].map(letter)).await;

    let report = redriven(&broker, Redrive::new(DEAD)).await;

    assert_eq!(counts(&report), [3, 0, 0, 0]);
    assert!(report.is_clean());
    assert_eq!((written(&broker, 0), written(&broker, 1)), (0, 3));
    assert_eq!(position(&broker), Some(3));
    let again = redriven(&broker, Redrive::new(DEAD)).await;
    assert_eq!((again.read(), written(&broker, 1)), (0, 3));
}

#[tokio::test]
async fn bytes_are_the_same_and_our_headers_are_not() {
    let broker = broker();
    dead(&broker, [letter("a").header("trace", "2")]).await;

    broker.create_topic("elsewhere", 1, None, IDLE).unwrap();
    redriven(&broker, Redrive::new(DEAD).to("elsewhere")).await;

    let text = |text: &str| Some(text.as_bytes().to_vec());
    let header = |name: &str, value: &str| (name.to_owned(), text(value));
    let headers = vec![
        header("trace", "1"),
        header("trace", "2"),
        header(COUNT_HEADER, "1"),
    ];
    let [record] = &broker.records(&place("elsewhere", 0), Offset(0))[..] else {
        panic!("one record");
    };
    assert_eq!((&record.key, &record.value), (&text("k"), &text("a")));
    assert_eq!(record.headers, headers);
}

#[tokio::test]
async fn a_dry_run_writes_and_commits_nothing() {
    let broker = broker();
    dead(&broker, ["a", "b"].map(letter)).await;

    let report = redriven(&broker, Redrive::new(DEAD).dry_run(true)).await;

    assert_eq!(counts(&report), [2, 0, 0, 0]);
    assert_eq!((written(&broker, 1), position(&broker)), (0, None));
    assert_eq!(report.partitions[0].position, Offset(0));
    let kind = &report.kinds[0];
    assert_eq!(kind.origin.as_deref(), Some("orders"));
    assert_eq!(kind.handler.as_deref(), Some("on_order"));
    assert_eq!(kind.class, Some(FailureKind::Permanent));
    let text = format!("{report} {}", report.to_json());
    assert!(
        text.contains("WOULD GO") && text.contains("\"dry_run\":true"),
        "{text}"
    );
}

#[tokio::test]
async fn a_limit_leaves_the_rest_to_the_next_run() {
    let broker = broker();
    dead(&broker, ["a", "b", "c"].map(letter)).await;

    let report = redriven(&broker, Redrive::new(DEAD).limit(2)).await;

    assert_eq!((report.put_back, position(&broker)), (2, Some(2)));
    assert_eq!(report.partitions[0].next, Offset(2));
    let rest = redriven(&broker, Redrive::new(DEAD)).await;
    assert_eq!((rest.put_back, position(&broker)), (1, Some(3)));
}

#[tokio::test]
async fn a_filter_leaves_the_position_unless_it_is_told_to_advance() {
    let broker = broker();
    let other = |value| letter(value).header("kafka_runtime.dead_letter.class", "x");
    // A header that is there twice says nothing: no class.
    dead(&broker, [letter("a"), other("b"), letter("c")]).await;
    let wanted = || Redrive::new(DEAD).class(FailureKind::Permanent);

    let report = redriven(&broker, wanted()).await;
    assert_eq!(
        (counts(&report), position(&broker)),
        ([2, 1, 0, 0], Some(1))
    );
    assert_eq!(report.put_back_again, 1);
    let report = redriven(&broker, wanted().advance(true)).await;
    assert_eq!(
        (counts(&report), position(&broker)),
        ([1, 1, 0, 0], Some(3))
    );
}

#[tokio::test]
async fn what_is_refused_is_told_and_the_others_go_on() {
    let broker = broker();
    let forged = |topic: &str| {
        MessagePayload::new("x")
            .header("kafka_runtime.dead_letter.topic", topic)
            .header("kafka_runtime.dead_letter.partition", "0")
            .header("kafka_runtime.dead_letter.group", "billing")
    };
    let far = MessagePayload::new("x")
        .header("kafka_runtime.dead_letter.topic", "orders")
        .header("kafka_runtime.dead_letter.partition", "2")
        .header("kafka_runtime.dead_letter.group", "billing");
    let letters = [
        forged("payroll"),
        forged(DEAD),
        MessagePayload::new("bare"),
        letter("often").header(COUNT_HEADER, "3"),
        far,
        letter("fine"),
        forged("payroll"),
    ];
    dead(&broker, letters).await;

    let report = redriven(&broker, Redrive::new(DEAD)).await;

    assert_eq!(counts(&report), [1, 0, 6, 0]);
    let reasons: Vec<_> = report.refusals.iter().map(|(_, r)| r.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "origin",
            "origin",
            "header",
            "too_often",
            "no_partition",
            "origin"
        ]
    );
    // The last one is told again by every run until somebody decides.
    assert_eq!(position(&broker), Some(6));
    assert!(!report.is_clean());
    let text = report.to_string();
    assert!(text.contains("--allow-origin payroll"), "{text}");
    let report = redriven(&broker, Redrive::new(DEAD).advance(true)).await;
    assert_eq!((report.refused, position(&broker)), (1, Some(7)));
}

#[tokio::test]
async fn a_run_that_puts_nothing_back_moves_no_position() {
    let broker = broker();
    broker.create_topic("parked", 1, None, IDLE).unwrap();
    broker.send("parked", letter("a")).await.unwrap();

    let report = redriven(&broker, Redrive::new("parked")).await;
    assert_eq!(counts(&report), [0, 0, 1, 0]);
    let allowed = Redrive::new("parked").allow_origin("orders");
    let report = redriven(&broker, allowed).await;

    assert_eq!(counts(&report), [1, 0, 0, 0]);
}

#[tokio::test]
async fn a_destination_that_is_gone_is_told() {
    let broker = broker();
    let letter = MessagePayload::new("x")
        .header("kafka_runtime.dead_letter.topic", "gone")
        .header("kafka_runtime.dead_letter.partition", "0")
        .header("kafka_runtime.dead_letter.group", "billing");
    broker
        .create_topic("billing.gone.dlq", 1, None, IDLE)
        .unwrap();
    broker.send("billing.gone.dlq", letter).await.unwrap();

    let report = redriven(&broker, Redrive::new("billing.gone.dlq")).await;

    assert_eq!(report.refusals[0].1, Refusal::NoTopic("gone".into()));
    let error = run(&broker, Redrive::new(DEAD).to("gone"))
        .await
        .unwrap_err();
    assert!(matches!(error, RedriveError::NoDestination(_)), "{error}");
}

#[tokio::test]
async fn a_write_that_fails_ends_the_run_before_it() {
    let broker = broker();
    dead(&broker, ["a", "b"].map(letter)).await;
    let denied = ProduceError::Client {
        topic: "orders".into(),
        source: ClientError::Authorization("orders".into()),
    };
    broker.refuse_writes("orders", Some(denied));

    let error = run(&broker, Redrive::new(DEAD)).await.unwrap_err();

    assert!(
        error.to_string().contains("grant the user an ACL"),
        "{error}"
    );
    assert_eq!(error.report().unwrap().failed, 2);
    assert_eq!(position(&broker), None);
    broker.refuse_writes("orders", None);
    assert_eq!(redriven(&broker, Redrive::new(DEAD)).await.put_back, 2);
}

/// A producer without the right to write: it gives up all it has, and only a question tells why.
struct GaveUp;

impl ProducerClient for GaveUp {
    fn send(&self, _: &str, _: MessagePayload) -> Delivery {
        Box::pin(std::future::ready(Err(ProduceError::Disconnected)))
    }

    fn flush(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }

    fn check(&self, _: Duration) -> Result<(), ClientError> {
        Err(ClientError::Authorization("no producer id".into()))
    }
}

#[tokio::test]
async fn a_producer_that_gave_up_is_asked_why() {
    let broker = broker();
    dead(&broker, [letter("a")]).await;
    let factory = Arc::new(Memory(broker.clone(), Arc::new(GaveUp)));

    let result = Redrive::new(DEAD)
        .run_with(&Config::new(), factory, pending())
        .await;

    let text = result.unwrap_err().to_string();
    assert!(text.contains("topic orders: not permitted"), "{text}");
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_and_blocks_nothing() {
    let broker = broker();
    dead(&broker, [letter("a")]).await;
    let topic = "orders".to_owned();
    broker.refuse_writes("orders", Some(ProduceError::TooLarge { topic, bytes: 9 }));

    let report = redriven(&broker, Redrive::new(DEAD)).await;

    assert_eq!(counts(&report), [0, 0, 1, 0]);
    assert!(report.to_string().contains("max.message.bytes"), "{report}");
}

/// Every record that is put back fails again at once.
struct FailsAgain(MemoryBroker);
impl ProducerClient for FailsAgain {
    fn send(&self, topic: &str, payload: MessagePayload) -> Delivery {
        drop(self.0.send(DEAD, letter("again")));
        self.0.send(topic, payload)
    }

    fn flush(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }

    fn check(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }
}

#[tokio::test]
async fn records_that_arrive_meanwhile_are_left_to_the_next_run() {
    let broker = broker();
    dead(&broker, [letter("a")]).await;
    let producer = Arc::new(FailsAgain(broker.clone()));
    let factory = Arc::new(Memory(broker.clone(), producer));
    let report = Redrive::new(DEAD)
        .run_with(&Config::new(), factory, pending())
        .await
        .unwrap();

    assert_eq!((report.put_back, position(&broker)), (1, Some(1)));
}

#[tokio::test]
async fn an_end_in_a_gap_is_an_end() {
    let broker = broker();
    dead(&broker, [letter("a")]).await;
    broker.skip(&place(DEAD, 0), 20);
    dead(&broker, [letter("b")]).await;

    let bounded = Redrive::new(DEAD).partition(0).end(Offset(9));
    let report = redriven(&broker, bounded).await;

    assert_eq!((report.put_back, position(&broker)), (1, Some(1)));
    assert!(report.is_clean());
}

/// Stops the fetch with the first write, as if the end were a gap that no record fills.
struct Pauses(MemoryBroker);

impl ProducerClient for Pauses {
    fn send(&self, topic: &str, payload: MessagePayload) -> Delivery {
        self.0.member(MemberId(0)).pause(place(DEAD, 0));
        self.0.send(topic, payload)
    }

    fn flush(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }

    fn check(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_run_does_not_wait_for_records_that_do_not_come() {
    let broker = broker();
    // One more than a batch.
    dead(&broker, (0..1_001).map(|n| letter(&n.to_string()))).await;
    let factory = Arc::new(Memory(broker.clone(), Arc::new(Pauses(broker.clone()))));
    let mut redrive = Redrive::new(DEAD);
    redrive.idle = Duration::ZERO;

    let report = redrive
        .run_with(&Config::new(), factory, pending())
        .await
        .unwrap();

    assert_eq!((report.put_back, position(&broker)), (1_000, Some(1_000)));
    assert_eq!(report.partitions[0].next, Offset(1_000));
    assert!(report.is_short);
}

/// A broker that is away: it is asked for something, and nothing is ever acknowledged.
#[derive(Default)]
struct Silent(tokio::sync::Notify);

impl ProducerClient for Silent {
    fn send(&self, _: &str, _: MessagePayload) -> Delivery {
        self.0.notify_one();
        Box::pin(pending())
    }

    fn flush(&self, _: Duration) -> Result<(), ClientError> {
        Err(ClientError::TimedOut("flush".into()))
    }

    fn check(&self, _: Duration) -> Result<(), ClientError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_broker_that_is_away() {
    let broker = broker();
    dead(&broker, ["a", "b"].map(letter)).await;
    let silent = Arc::new(Silent::default());
    let producer: Arc<dyn ProducerClient> = Arc::<Silent>::clone(&silent);
    let factory = Arc::new(Memory(broker.clone(), producer));

    let report = Redrive::new(DEAD)
        .run_with(&Config::new(), factory, silent.0.notified())
        .await
        .unwrap();

    assert!(report.is_stopped && !report.is_clean());
    let [put_back, skipped, refused, failed] = counts(&report);
    assert_eq!((put_back, skipped, refused), (0, 0, 0));
    // The second may be after the stop.
    assert!((1..=2).contains(&failed));
    assert_eq!(position(&broker), None);
}

#[tokio::test]
async fn progress_is_told_while_a_broker_is_away() {
    let broker = broker();
    dead(&broker, [letter("a")]).await;
    let factory = Arc::new(Memory(broker.clone(), Arc::new(Silent::default())));
    let told = Arc::new(tokio::sync::Notify::new());
    let tell = Arc::clone(&told);
    let mut redrive = Redrive::new(DEAD).on_progress(move |_| tell.notify_one());
    redrive.every = Duration::from_millis(1);

    let stop = told.notified();
    let report = redrive.run_with(&Config::new(), factory, stop).await;

    assert!(report.unwrap().is_stopped);
}

#[tokio::test]
async fn a_position_beyond_the_end_is_of_an_older_topic() {
    let broker = broker();
    dead(&broker, ["a", "b", "c"].map(letter)).await;
    redriven(&broker, Redrive::new(DEAD)).await;
    let anew = self::broker();
    dead(&anew, [letter("a"), letter("b")]).await;
    let (_, mut member) = anew.join(&format!("{DEAD}.redrive"));
    member
        .assign(&[(place(DEAD, 0), crate::client::Position::Beginning)])
        .unwrap();
    member.store(&[(place(DEAD, 0), Offset(3))]).unwrap();
    member.close();

    let report = redriven(&anew, Redrive::new(DEAD)).await;

    assert_eq!((report.put_back, position(&anew)), (2, Some(2)));
}

#[tokio::test]
async fn progress_is_told_while_it_runs() {
    let broker = broker();
    dead(&broker, (0..1_001).map(|n| letter(&n.to_string()))).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let mut redrive = Redrive::new(DEAD).on_progress(move |report| {
        seen.lock().unwrap().push(report.put_back);
    });
    redrive.every = Duration::ZERO;

    redriven(&broker, redrive).await;

    assert_eq!(*told.lock().unwrap(), [1_000, 1_001]);
}

#[tokio::test]
async fn options_that_contradict_each_other_are_told_without_a_network() {
    let broker = broker();
    let refused: [(Redrive, &str); 5] = [
        (Redrive::new(DEAD).to(DEAD), "into itself"),
        (Redrive::new(DEAD).allow_origin(DEAD), "into itself"),
        (
            Redrive::new(DEAD).end(Offset(1)),
            "name it with --partition",
        ),
        (Redrive::new("a/b"), "no topic name"),
        (
            Redrive::new("billing.order.dlq"),
            "did you mean billing.orders.dlq?",
        ),
    ];

    for (redrive, text) in refused {
        let error = run(&broker, redrive).await.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    let beyond = run(&broker, Redrive::new(DEAD).partition(1)).await;
    assert!(matches!(beyond, Err(RedriveError::NoPartition { .. })));
}

#[tokio::test]
async fn nothing_shows_what_a_record_holds() {
    let broker = broker();
    let secret = letter("secret").key("secret").header("secret", "secret");
    dead(
        &broker,
        [secret, MessagePayload::new("secret").header("x", "secret")],
    )
    .await;

    let report = redriven(&broker, Redrive::new(DEAD)).await;

    let text = format!("{report} {report:?} {}", report.to_json());
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_read_ends_the_run_in_front_of_it() {
    let broker = broker();
    dead(&broker, ["a", "b", "c"].map(letter)).await;
    broker.damage(&place(DEAD, 0), Offset(1), u32::MAX);

    let result = run(&broker, Redrive::new(DEAD)).await;

    assert!(
        matches!(result, Err(RedriveError::Client { .. })),
        "{result:?}"
    );
    assert!(position(&broker).is_none_or(|position| position <= 1));
}
