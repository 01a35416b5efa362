//! Columns of many types, in the structs that a service has for them.

use kafka_runtime::column::{
    Bytes, Date, Decimal, JsonText, Micros, Millis, Time, Timestamp, Toast, ZonedTimestamp,
};
use kafka_runtime::{Change, DatabaseEvent, Handler, Ordering, State};
use serde::Deserialize;
use test_support::{Pipeline, PipelineBuilder, Suite, TestResult};

use crate::service::{Seen, Service};
use crate::stage::Stage;

pub(crate) fn add(suite: Suite<PipelineBuilder>) -> Suite<PipelineBuilder> {
    suite
        .test("columns::typed_columns_hold_what_was_written", typed)
        .test(
            "columns::a_large_value_that_did_not_change_is_unavailable",
            unchanged_toast,
        )
}

#[derive(Debug, Deserialize)]
struct Order {
    total: Decimal<2>,
    due: Option<Date>,
    at: Time<Micros>,
    placed: Timestamp<Micros>,
    seen: Timestamp<Millis>,
    paid: Option<ZonedTimestamp>,
    doc: JsonText<Doc>,
    tags: Vec<Option<String>>,
    seal: Bytes,
    state: Progress,
}

#[derive(Debug, Deserialize)]
struct Doc {
    name: String,
}

/// An enum type of the database.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Progress {
    New,
    InTransit,
}

async fn on_order(event: DatabaseEvent<Order>, seen: State<Seen>) -> anyhow::Result<()> {
    let Change::Create { after: order } = event.change else {
        anyhow::bail!("not a create");
    };
    for line in [
        order.total.to_string(),
        format!("{:?}", order.due.map(|due| due.to_string())),
        order.at.to_string(),
        order.placed.to_string(),
        order.seen.to_string(),
        format!("{:?}", order.paid.map(|paid| paid.to_string())),
        order.doc.0.name,
        format!("{:?}", order.tags),
        format!("{:?}", order.seal.0),
        format!("{:?}", order.state),
    ] {
        seen.push(line);
    }
    seen.push("--");
    Ok(())
}

async fn typed(pipeline: &Pipeline) -> TestResult {
    let schema = "CREATE TYPE state AS ENUM ('new', 'in_transit');
        CREATE TABLE orders (id int PRIMARY KEY, total numeric(12, 2) NOT NULL, due date, at time NOT NULL,
            placed timestamp NOT NULL, seen timestamp(3) NOT NULL, paid timestamptz, doc jsonb NOT NULL,
            tags text[] NOT NULL, seal bytea NOT NULL, state state NOT NULL)";
    let stage = Stage::set(pipeline, &Stage::any_name(), schema).await?;
    let handler = Handler::new(stage.topic("orders"), on_order).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler]).await?;

    stage
        .sql(
            "INSERT INTO orders VALUES
             (1, -990.05, '2017-09-15', '11:51:30.123789', '2017-09-15 13:51:30.123456', '2017-09-15 13:51:30.123',
              '2017-09-15 13:51:30+02', '{\"name\": \"\u{1F980} Ada\"}', ARRAY['a', NULL], '\\x0010ff', 'new'),
             (2, 0, NULL, '24:00', 'infinity', '0044-03-15 12:00:00 BC', '-infinity',
              '{\"name\": \"\"}', '{}', '', 'in_transit')",
        )
        .await?;

    let seen = service.seen.until("[]").await?;
    assert_eq!(
        seen[..11],
        [
            "-990.05",
            r#"Some("2017-09-15")"#,
            "11:51:30.123789",
            "2017-09-15T13:51:30.123456",
            "2017-09-15T13:51:30.123",
            r#"Some("2017-09-15T11:51:30Z")"#,
            "\u{1F980} Ada",
            r#"[Some("a"), None]"#,
            "[0, 16, 255]",
            "New",
            "--",
        ]
    );
    let seen = service.seen.until("InTransit").await?;
    assert_eq!(
        seen[11..21],
        [
            "0.00",
            "None",
            "24:00:00",
            "infinity",
            "-0043-03-15T12:00:00",
            r#"Some("-infinity")"#,
            "",
            "[]",
            "[]",
            "InTransit",
        ]
    );
    service.stop().await?;
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Page {
    id: i32,
    title: String,
    body: Toast<String>,
    links: Toast<Option<JsonText<Vec<String>>>>,
}

async fn on_page(event: DatabaseEvent<Page>, seen: State<Seen>) {
    let Some(page) = event.after() else {
        return;
    };
    let body = page.body.as_option().map(String::len);
    let links = page
        .links
        .as_option()
        .map(|links| links.as_ref().map(|links| links.0.len()));
    let Page { id, title, .. } = page;
    seen.push(format!("{id} {title}: body {body:?}, links {links:?}"));
}

async fn unchanged_toast(pipeline: &Pipeline) -> TestResult {
    // Stored as it is, so that its length alone puts it out of line.
    let schema = "CREATE TABLE pages (id int PRIMARY KEY, title text NOT NULL, body text NOT NULL, links jsonb);
        ALTER TABLE pages ALTER body SET STORAGE EXTERNAL, ALTER links SET STORAGE EXTERNAL";
    let stage = Stage::set(pipeline, &Stage::any_name(), schema).await?;
    let handler = Handler::new(stage.topic("pages"), on_page).ordering(Ordering::Partition);
    let service = Service::start(&stage, [handler]).await?;

    stage
        .sql(
            "INSERT INTO pages SELECT 1, 'new', repeat('x', 5000), jsonb_agg(n::text) FROM generate_series(1, 1000) n;
             UPDATE pages SET title = 'renamed';
             UPDATE pages SET body = repeat('y', 4000);
             UPDATE pages SET links = NULL;
             UPDATE pages SET id = 2;
             ALTER TABLE pages REPLICA IDENTITY FULL",
        )
        .await?;
    stage.sql("UPDATE pages SET title = 'last'").await?;

    let seen = service
        .seen
        .until("2 last: body Some(4000), links Some(None)")
        .await?;
    assert_eq!(
        seen,
        [
            "1 new: body Some(5000), links Some(Some(1000))",
            "1 renamed: body None, links None",
            "1 renamed: body Some(4000), links None",
            "1 renamed: body None, links Some(None)",
            // The create of a key change, too.
            "2 renamed: body None, links Some(None)",
            "2 last: body Some(4000), links Some(None)",
        ]
    );
    service.stop().await?;
    Ok(())
}
