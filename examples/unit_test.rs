//! How do I test a handler?
//!
//! Call it: the function stays as written, and its arguments can be made by hand. No broker, no runtime.
//!
//! ```sh
//! cargo test --example unit_test
//! ```
//! ```console
//! test tests::a_new_user_is_greeted ... ok
//! test tests::a_user_of_another_source_is_skipped ... ok
//! test tests::a_user_without_an_address_is_refused_for_good ... ok
//! test tests::the_last_attempt_uses_the_second_server ... ok
//! test tests::the_tenant_is_taken_from_the_headers ... ok
//! ```
//!
//! As a program it calls the handler once, in the same way:
//!
//! ```sh
//! cargo run --example unit_test
//! ```
//! ```text
//! ["acme: ada@example.com by the first server"]
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::{Arc, Mutex, PoisonError};

use kafka_runtime::{
    DatabaseEvent, DecodeError, FromContext, HandlerContext, Headers, Outcome, PermanentError,
    Record, RecordMetadata, State, topic_handler,
};

#[derive(serde::Deserialize)]
struct User {
    email: String,
}

/// What the handler does to the world, behind a type that a test can look into.
#[derive(Clone, Default)]
struct Outbox(Arc<Mutex<Vec<String>>>);

impl Outbox {
    fn send(&self, mail: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(mail);
    }

    fn sent(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// An extractor of the service's own.
struct Tenant(String);

impl FromContext<'_> for Tenant {
    fn from_context(record: &Record, _: &HandlerContext) -> Result<Self, DecodeError> {
        let headers = record.headers();
        let name = headers
            .get("tenant")
            .ok_or(DecodeError::custom("no tenant header"))?;
        Ok(Self(String::from_utf8_lossy(name).into_owned()))
    }
}

#[topic_handler("demo.users", retry(attempts = 3))]
async fn on_user(
    event: DatabaseEvent<User>,
    tenant: Tenant,
    headers: Headers,
    record: RecordMetadata,
    outbox: State<Outbox>,
) -> anyhow::Result<Outcome> {
    if headers.get("source") == Some(b"import") {
        return Ok(Outcome::skip("an import"));
    }
    if let Some(user) = event.after() {
        anyhow::ensure!(user.email.contains('@'), PermanentError::new("no address"));
        let server = if record.attempt() < 3 {
            "first"
        } else {
            "second"
        };
        outbox.send(format!(
            "{}: {} by the {server} server",
            tenant.0, user.email
        ));
    }
    Ok(Outcome::Ack)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let record = Record::for_test("demo.users", None, None);
    let outbox = Outbox::default();
    let ada = DatabaseEvent::create(User {
        email: "ada@example.com".into(),
    });
    let (metadata, tenant) = (RecordMetadata::for_test(&record), Tenant("acme".into()));
    on_user(
        ada,
        tenant,
        record.headers(),
        metadata,
        State(outbox.clone()),
    )
    .await?;
    println!("{:?}", outbox.sent());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn handle(
        email: &str,
        headers: &[(&str, &[u8])],
        attempt: u32,
    ) -> (anyhow::Result<Outcome>, Vec<String>) {
        let record = Record::for_test("demo.users", Some(b"7"), None).with_headers(headers);
        let event = DatabaseEvent::create(User {
            email: email.to_owned(),
        });
        let metadata = RecordMetadata::for_test(&record).with_attempt(attempt);
        let outbox = Outbox::default();
        let tenant = Tenant("acme".to_owned());

        let outcome = on_user(
            event,
            tenant,
            record.headers(),
            metadata,
            State(outbox.clone()),
        )
        .await;

        (outcome, outbox.sent())
    }

    #[tokio::test]
    async fn a_new_user_is_greeted() {
        let (outcome, mails) = handle("ada@example.com", &[], 1).await;

        assert!(matches!(outcome, Ok(Outcome::Ack)));
        assert_eq!(mails, ["acme: ada@example.com by the first server"]);
    }

    #[tokio::test]
    async fn a_user_without_an_address_is_refused_for_good() {
        let (outcome, mails) = handle("ada", &[], 1).await;

        assert!(outcome.is_err_and(|error| error.is::<PermanentError>()));
        assert!(mails.is_empty());
    }

    #[tokio::test]
    async fn the_last_attempt_uses_the_second_server() {
        let (_, mails) = handle("ada@example.com", &[], 3).await;

        assert_eq!(mails, ["acme: ada@example.com by the second server"]);
    }

    #[tokio::test]
    async fn a_user_of_another_source_is_skipped() {
        let (outcome, mails) = handle("ada@example.com", &[("source", b"import")], 1).await;

        assert!(matches!(outcome, Ok(Outcome::Skip { .. })));
        assert!(mails.is_empty());
    }

    #[test]
    fn the_tenant_is_taken_from_the_headers() {
        let record =
            Record::for_test("demo.users", None, None).with_headers(&[("tenant", b"acme")]);

        let tenant = Tenant::from_context(&record, &HandlerContext::for_test());

        assert!(tenant.is_ok_and(|tenant| tenant.0 == "acme"));
    }
}
