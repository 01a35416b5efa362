#![deny(warnings)]

use kafka_runtime::{Raw, topic_handler};

/// A doc comment.
#[topic_handler("a")]
/// Another.
#[inline]
#[must_use]
#[expect(unused_variables, reason = "the user's own")]
async fn documented(#[allow(unused_mut)] mut payload: Raw) -> kafka_runtime::Outcome {
    kafka_runtime::Outcome::Ack
}

#[topic_handler("b")]
#[cfg(any())]
async fn absent(_: NoSuchType) {}

#[cfg(any())]
#[topic_handler("c")]
async fn absent_too(_: NoSuchType) {}

#[cfg_attr(not(any()), topic_handler("d"))]
async fn conditional(_: Raw) {}

#[deprecated]
#[derive(serde::Deserialize)]
struct Old {}

#[topic_handler("e")]
#[allow(deprecated)]
async fn old(_: Old) {}

#[topic_handler("f")]
#[expect(deprecated)]
async fn expected(_: Old) {}

fn main() {
    assert_eq!(kafka_runtime::registered().len(), 4);
}
