//! A consumer's handlers, before any broker is asked.

use super::*;
use crate::handler::Handler;
use crate::{Problem, Raw};

fn consumer() -> KafkaConsumer {
    let manager = KafkaManager::new(ClientOptions {
        bootstrap_servers: Some(vec!["localhost:1".into()]),
        ssl: false,
        ..Default::default()
    });
    manager
        .create_consumer(
            "main",
            ConsumerOptions {
                group_id: "g".into(),
                ..Default::default()
            },
        )
        .unwrap()
}

fn handler(topic: &str) -> Handler {
    Handler::new(topic, |_: Raw| async {})
}

#[test]
fn handlers_come_and_go() {
    let consumer = consumer();

    consumer.register(handler("a").topic("b")).unwrap();
    assert_eq!(consumer.registered_topics(), ["a", "b"]);
    assert!(consumer.unregister_handler("a") && !consumer.unregister_handler("a"));
    assert!(consumer.has_handler("b") && !consumer.has_handler("a"));
    consumer.clear_handlers();

    assert!(consumer.registered_topics().is_empty());
}

#[test]
fn a_topic_that_has_a_handler_is_refused_also_as_a_template() {
    let consumer = consumer();
    consumer.register(handler("t")).unwrap();

    let error = consumer
        .register(handler("${KAFKA_RUNTIME_NOT_SET:t}"))
        .unwrap_err();

    assert!(
        matches!(error.problems[..], [Problem::TopicTwice { .. }]),
        "{error}"
    );
    assert_eq!(consumer.registered_topics(), ["t"]);
}

#[test]
fn a_handler_of_another_group_is_refused() {
    let error = consumer()
        .register(handler("t").group("other"))
        .unwrap_err();

    assert!(error.to_string().contains("other"), "{error}");
}

#[test]
fn a_handler_that_is_off_is_not_registered() {
    let consumer = consumer();

    consumer
        .register(handler("t").enabled_if("KAFKA_RUNTIME_NOT_SET"))
        .unwrap();

    assert!(consumer.registered_topics().is_empty());
}

#[tokio::test]
async fn without_a_handler_it_does_not_start() {
    let error = consumer().start_with_handlers().await.unwrap_err();

    assert!(error.to_string().contains("no handler"), "{error}");
}

#[test]
fn a_name_is_taken_once() {
    let manager = KafkaManager::new(ClientOptions {
        bootstrap_servers: Some(vec!["localhost:1".into()]),
        ssl: false,
        ..Default::default()
    });
    let options = ConsumerOptions {
        group_id: "g".into(),
        ..Default::default()
    };

    manager.create_consumer("main", options.clone()).unwrap();

    assert!(matches!(
        manager.create_consumer("main", options),
        Err(ManagerError::NameTaken { .. })
    ));
    assert!(manager.consumer("main").is_some() && manager.consumer("other").is_none());
}
