//! What is in a record, or is a password, is shown nowhere: not in a log at any level, an event, an error, a status or a `Debug`.

use std::future::Ready;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::super::TestRuntime;
use crate::{
    Config, Event, FailurePolicy, Handler, Headers, Key, MessagePayload, Observer, Raw,
    RecordMetadata, Retry,
};

/// As text, and where a parser quotes what it found.
const SECRETS: [&str; 2] = ["hunter2", "4711081547"];

#[derive(serde::Deserialize)]
struct Row {
    #[expect(dead_code, reason = "only decoded")]
    id: u8,
}

/// All that was told, by whoever tells something.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl Told {
    fn add(&self, text: &str) {
        self.0.lock().unwrap().extend_from_slice(text.as_bytes());
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Told {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Observer for Told {
    fn observe(&self, event: &Event<'_>) {
        self.add(&format!("{event:?}\n"));
    }
}

fn secret(value: &str) -> MessagePayload {
    MessagePayload::new(value)
        .key("hunter2")
        .header("token", "hunter2")
}

#[tokio::test(start_paused = true)]
async fn no_byte_of_a_record_and_no_password_is_told() {
    let told = Told::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(told.clone())
        .finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let debug = told.clone();
    let quickly = Retry {
        attempts: 2,
        ..Retry::DEFAULT
    };
    let handlers = [
        // Undecodable in three ways, and a key that does not fit.
        Handler::new("rows", |_: Row| async {}),
        Handler::new("keys", |_: Raw, _: Key<u8>| async {}),
        // Fails, is parked, and given up; shows what an argument's Debug says.
        Handler::new(
            "fails",
            move |value: Raw, headers: Headers, at: RecordMetadata| {
                debug.add(&format!("{value:?} {headers:?} {at:?}"));
                async { Err::<(), _>("no") }
            },
        )
        .retry(quickly)
        .retry_topics([Duration::from_secs(1)]),
        Handler::new("panics", |_: Raw| -> Ready<()> { panic!("boom") })
            .retry(quickly)
            .on_failure(FailurePolicy::Skip),
        Handler::new("stops", |_: Row| async {}).on_failure(FailurePolicy::Stop),
    ];
    let config = Config::new().sasl_username("app").sasl_password("hunter2");
    told.add(&format!("{config:?}"));
    let mut test = TestRuntime::builder()
        .handlers(handlers)
        .observer(told.clone())
        .start()
        .await
        .unwrap();

    for value in ["hunter2", r#"{"id":"hunter2"}"#, r#"{"id":4711081547}"#] {
        test.produce("rows", secret(value));
    }
    for topic in ["keys", "fails", "panics"] {
        test.produce(topic, secret(r#""hunter2""#));
    }
    for _ in 0..5 {
        test.idle().await;
        test.advance(Duration::from_secs(2)).await;
    }
    let (rows, keys) = (test.dead_letters("rows"), test.dead_letters("keys"));
    assert_eq!((rows.len(), keys.len()), (3, 1));
    assert_eq!(test.dead_letters("fails").len(), 1);
    told.add(&format!("{:?} {test:?}", test.control().status()));
    test.produce("stops", secret(r#"{"id":"hunter2"}"#));
    test.idle().await;
    let error = test.stop().await.unwrap_err();
    told.add(&format!("{error} {error:?}"));

    let all = told.text();
    for (what, word) in [
        ("a decode error", "invalid type: string"),
        ("a panic", "boom"),
        ("parking", "Parked"),
        ("a stop", "RecordFailed"),
        ("a log line", "ERROR"),
    ] {
        assert!(all.contains(word), "inconclusive, {what} was not told");
    }
    for secret in SECRETS {
        let line = all.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is told");
    }
}
