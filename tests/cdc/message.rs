//! What services write for others: logical decoding messages, outbox events. And where transactions begin and end.

use kafka_runtime::{
    Change, DatabaseEvent, Handler, Key, Ordering, OutboxEvent, Scalar, State, TransactionMarker,
};
use serde::Deserialize;
use test_support::{Pipeline, PipelineBuilder, Suite, TestResult};

use crate::service::{Seen, Service};
use crate::stage::Stage;

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test(
            "message::logical_messages_arrive_with_what_they_hold",
            logical,
        )
        .test("message::an_outbox_row_is_an_event", outbox)
        .test(
            "message::changes_are_grouped_by_their_transaction",
            transactions,
        )
}

#[derive(Debug, Deserialize)]
struct MessageKey {
    prefix: String,
}

async fn on_message(
    event: DatabaseEvent<()>,
    key: Key<MessageKey>,
    seen: State<Seen>,
) -> anyhow::Result<()> {
    let Change::Message { prefix, content } = event.change else {
        anyhow::bail!("no message");
    };
    anyhow::ensure!(prefix == key.0.prefix, "two prefixes");
    let is_transactional = event.source.tx_id.is_some();
    let text = String::from_utf8(content.base64()?)?;
    seen.push(format!("{prefix} {text} {is_transactional}"));
    Ok(())
}

async fn logical(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE users (id int PRIMARY KEY)";
    let stage = Stage::set(pipeline, &Stage::any_name(), schema).await?;
    let topic = format!("{}.message", stage.connector.prefix());
    let handler = Handler::new(topic, on_message).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler]).await?;

    stage
        .sql("SELECT pg_logical_emit_message(true, 'audit', 'hello')")
        .await?;
    stage
        .sql(
            "BEGIN;
             SELECT pg_logical_emit_message(true, 'audit', 'never');
             SELECT pg_logical_emit_message(false, 'metrics', 'survives');
             ROLLBACK;
             SELECT pg_logical_emit_message(true, 'audit', 'last')",
        )
        .await?;

    let seen = service.seen.until("audit last true").await?;
    assert_eq!(
        seen,
        [
            "audit hello true",
            "metrics survives false",
            "audit last true",
        ]
    );
    service.stop().await?;
    Ok(())
}

#[derive(Debug, Deserialize)]
struct OrderPlaced {
    order: i64,
}

async fn on_placed(event: OutboxEvent<OrderPlaced>, seen: State<Seen>) {
    let OutboxEvent {
        id,
        aggregate_id,
        event_type,
        payload,
        ..
    } = event;
    seen.push(format!(
        "{id} {aggregate_id:?} {event_type:?} {}",
        payload.order
    ));
}

async fn outbox(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE outbox (id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL,
        type text NOT NULL, payload jsonb NOT NULL)";
    let stage = Stage::set_with(pipeline, &Stage::any_name(), schema, |connector| {
        let placement = ("table.fields.additional.placement", "type:header:eventType");
        connector.outbox("public.outbox", &[placement])
    })
    .await?;
    let handler = Handler::new("outbox.event.order", on_placed).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler]).await?;

    // As services do: the row is for the connector only.
    stage
        .sql(
            "INSERT INTO outbox VALUES ('4d47e190-0402-4048-bc2c-89dd54343cdc', 'order', '99', 'placed', '{\"order\": 99}');
             DELETE FROM outbox",
        )
        .await?;
    stage
        .sql("INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000001', 'order', '100', 'paid', '{\"order\": 100}')")
        .await?;

    let last = r#"00000000-0000-0000-0000-000000000001 Some("100") Some("paid") 100"#;
    let seen = service.seen.until(last).await?;
    assert_eq!(
        seen,
        [
            r#"4d47e190-0402-4048-bc2c-89dd54343cdc Some("99") Some("placed") 99"#,
            last,
        ]
    );
    service.stop().await?;
    Ok(())
}

async fn on_row(event: DatabaseEvent<serde_json::Value>, seen: State<Seen>) -> anyhow::Result<()> {
    let Some(transaction) = &event.transaction else {
        anyhow::bail!("no transaction");
    };
    let same =
        event.source.tx_id.as_ref().and_then(Scalar::as_u64) == transaction.tx_id().parse().ok();
    seen.push(format!(
        "{} {} {} {same}",
        transaction.tx_id(),
        event.source.table,
        transaction.total_order
    ));
    Ok(())
}

async fn on_marker(marker: TransactionMarker, seen: State<Seen>) {
    let tables: Vec<_> = marker
        .data_collections
        .iter()
        .map(|table| format!("{}={}", table.data_collection, table.event_count))
        .collect();
    let (id, status) = (marker.tx_id(), &marker.status);
    seen.push(format!(
        "{id} {status:?} {:?} {tables:?}",
        marker.event_count
    ));
}

async fn transactions(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)";
    let stage = Stage::set_with(pipeline, &Stage::any_name(), schema, |connector| {
        connector.transactions()
    })
    .await?;
    let handlers = [
        Handler::new(stage.topic("a"), on_row).topic(stage.topic("b")),
        Handler::new(
            format!("{}.transaction", stage.connector.prefix()),
            on_marker,
        ),
    ];
    let handlers = handlers.map(|handler| handler.ordering(Ordering::Partition));
    let service = Service::start(&stage, handlers).await?;

    let session = stage.database.session().await?;
    session.execute("BEGIN").await?;
    let rows = session.query("SELECT pg_current_xact_id()").await?;
    let id = rows[0][0].as_deref().ok_or("no transaction")?;
    session
        .execute("INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1); COMMIT")
        .await?;

    let mut expected = vec![
        format!("{id} Begin None []"),
        format!(r#"{id} End Some(3) ["public.a=2", "public.b=1"]"#),
        format!("{id} a 1 true"),
        format!("{id} a 2 true"),
        format!("{id} b 3 true"),
    ];
    for line in &expected {
        service.seen.until(line).await?;
    }
    let mut seen = service.stop().await?.all();
    // The schema's statements were transactions, too.
    seen.retain(|line| line.starts_with(&format!("{id} ")));
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    Ok(())
}
