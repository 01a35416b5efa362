//! What carries the changes ends, or the service does: nothing is lost, and what comes twice is known.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_runtime::{ChangeId, DatabaseEvent, Handler, Key, Ordering, OutboxEvent, State};
use serde::Deserialize;
use test_support::{NotInTime, Pipeline, PipelineBuilder, Suite, TestResult, eventually};

use crate::service::{Seen, Service};
use crate::stage::{BoxError, LIMIT, Stage};

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test(
            "outage::after_a_kill_of_the_worker_each_row_is_handled_once",
            killed_worker,
        )
        .test(
            "outage::a_restarted_connector_is_nothing_to_a_service",
            restarted_connector,
        )
        .test(
            "outage::a_service_that_was_away_goes_on_where_it_stopped",
            service_away,
        )
}

#[derive(Debug, Deserialize)]
struct Number {
    n: i32,
}

/// What a table `handled (id text PRIMARY KEY)` would be, in the transaction of the handler's work.
#[derive(Clone, Debug, Default)]
struct Handled(Arc<Mutex<BTreeSet<String>>>);

impl Handled {
    /// False if it was there.
    fn insert(&self, id: String) -> bool {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(id)
    }
}

/// The rows of each round. Connect has many more in its hands than it has noted down.
const ROWS: usize = 400;

/// A worker that notes its offsets down just before it is killed sends nothing twice; it does so once in a second.
const ROUNDS: usize = 5;

async fn killed_worker(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE numbers (n int PRIMARY KEY);
        CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text NOT NULL,
            aggregateid text NOT NULL, type text NOT NULL, payload jsonb NOT NULL)";
    let name = Stage::any_name();
    let events = format!("{name}.event");
    let stage = Stage::set_with(pipeline, &name, schema, |connector| {
        let topic = format!("{events}.${{routedByValue}}");
        connector.outbox("public.outbox", &[("route.topic.replacement", &topic)])
    })
    .await?;
    let handled = Handled::default();
    let of_rows = handled.clone();
    let on_number = move |event: DatabaseEvent<Number>, id: Option<ChangeId>, seen: State<Seen>| {
        let row = event.after().map(|row| row.n);
        // Each has one: it has a key, and came from the log.
        let is_new = id.is_some_and(|id| of_rows.insert(id.to_string()));
        seen.push(format!(
            "{} row {row:?}",
            if is_new { "new" } else { "known" }
        ));
        std::future::ready(())
    };
    let of_events = handled.clone();
    let on_event = move |event: OutboxEvent<i32>, seen: State<Seen>| {
        let is_new = of_events.insert(event.id);
        seen.push(format!(
            "{} event {}",
            if is_new { "new" } else { "known" },
            event.payload
        ));
        std::future::ready(())
    };
    let service = Service::start(
        &stage,
        [
            Handler::new(stage.topic("numbers"), on_number),
            Handler::new(format!("{events}.number"), on_event),
        ],
    )
    .await?;

    // A worker that is killed before it has noted anything reads a snapshot again, whose rows are no changes.
    stage.sql("INSERT INTO numbers VALUES (0)").await?;
    stage.wait_noted().await?;

    let mut rounds = 0;
    while rounds < ROUNDS {
        let first = rounds * 2 * ROWS + 1;
        write(&stage, first).await?;
        // Some of them are handled.
        until_new(&service.seen, 2 * first).await?;
        stage.pipeline.connect().kill();
        write(&stage, first + ROWS).await?;
        stage.restart_connect().await?;
        rounds += 1;
        until_new(&service.seen, 1 + 2 * rounds * 2 * ROWS).await?;
        if count(&service.seen, "known") > 0 {
            break;
        }
    }

    let rows = rounds * 2 * ROWS;
    // All that arrived has been handled: it stops behind the last of it.
    let records = stage.records("numbers", rows).await?.len()
        + stage
            .topics
            .read_all(&format!("{events}.number"))
            .await?
            .len();
    service.seen.count(records).await?;
    let seen = service.stop().await?;
    let mut new = seen.all();
    new.retain(|line| line.starts_with("new"));
    let new: BTreeSet<String> = new.into_iter().collect();
    let numbers = (0..=rows).map(|n| format!("new row Some({n})"));
    let outbox = (1..=rows).map(|n| format!("new event {n}"));
    assert_eq!(new, numbers.chain(outbox).collect());
    assert!(
        count(&seen, "known") > 0,
        "nothing came twice in {rounds} rounds"
    );
    // What is known is the records that came again.
    assert_eq!(seen.all().len(), records);
    assert_eq!(count(&seen, "known"), records - (1 + 2 * rows));
    Ok(())
}

async fn write(stage: &Stage<'_>, first: usize) -> Result<(), BoxError> {
    let last = first + ROWS - 1;
    stage
        .sql(&format!(
            "INSERT INTO numbers SELECT generate_series({first}, {last});
             INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
                 SELECT 'number', n, 'counted', to_jsonb(n) FROM generate_series({first}, {last}) n"
        ))
        .await
}

async fn until_new(seen: &Seen, lines: usize) -> Result<(), NotInTime> {
    eventually(LIMIT, async || count(seen, "new") >= lines).await
}

fn count(seen: &Seen, word: &str) -> usize {
    let lines = seen.all();
    lines.iter().filter(|line| line.starts_with(word)).count()
}

async fn on_number(event: DatabaseEvent<Number>, key: Key<Number>, seen: State<Seen>) {
    let op = event.op().code();
    let row = event.after().map(|row| row.n);
    seen.push(format!("{op} {} {row:?}", key.0.n));
}

async fn restarted_connector(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE numbers (n int PRIMARY KEY)";
    let stage = Stage::set(pipeline, &Stage::any_name(), schema).await?;
    let handler = || Handler::new(stage.topic("numbers"), on_number).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler()]).await?;
    stage.sql("INSERT INTO numbers VALUES (1)").await?;
    service.seen.until("c 1 Some(1)").await?;

    let connect = pipeline.connect();
    connect.restart_connector(stage.connector.prefix())?;
    stage.sql("INSERT INTO numbers VALUES (2)").await?;

    let seen = service.seen.until("c 2 Some(2)").await?;
    assert_eq!(seen, ["c 1 Some(1)", "c 2 Some(2)"]);
    service.stop().await?;
    Ok(())
}

async fn service_away(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE numbers (n int PRIMARY KEY)";
    let stage = Stage::set_with(pipeline, &Stage::any_name(), schema, |connector| {
        connector.tombstones(false)
    })
    .await?;
    let handler = || Handler::new(stage.topic("numbers"), on_number).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler()]).await?;
    stage.sql("INSERT INTO numbers VALUES (1)").await?;
    service.seen.until("c 1 Some(1)").await?;
    let seen = service.stop().await?;

    stage
        .sql("INSERT INTO numbers VALUES (2); DELETE FROM numbers WHERE n = 1")
        .await?;
    stage.records("numbers", 3).await?;
    let service = Service::start_again(&stage, [handler()], seen).await?;
    stage.sql("INSERT INTO numbers VALUES (3)").await?;

    let seen = service.seen.until("c 3 Some(3)").await?;
    assert_eq!(
        seen,
        ["c 1 Some(1)", "c 2 Some(2)", "d 1 None", "c 3 Some(3)",]
    );
    service.stop().await?;
    Ok(())
}
