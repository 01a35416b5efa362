use std::error::Error;
use std::fmt;

use kafka_runtime::{Classify, ErrorClass, IntoOutcome, Outcome, Raw, classify, topic_handler};

#[derive(Debug)]
struct Declined;

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("declined")
    }
}

impl Error for Declined {}

/// Registered.
#[classify]
#[cfg(not(any()))]
impl Classify for Declined {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

type Result<T, E = Declined> = std::result::Result<T, E>;

#[topic_handler("a")]
async fn nothing(_: Raw) {}

#[topic_handler("b")]
async fn unit(_: Raw) -> () {}

#[topic_handler("c")]
async fn outcome(_: Raw) -> Outcome {
    Outcome::skip("not wanted")
}

#[topic_handler("d")]
async fn result(_: Raw) -> anyhow::Result<()> {
    Ok(())
}

#[topic_handler("e")]
async fn result_of_outcome(_: Raw) -> anyhow::Result<Outcome> {
    Ok(Outcome::Ack)
}

#[topic_handler("f")]
async fn own_error(_: Raw) -> Result<()> {
    Err(Declined)
}

#[topic_handler("g")]
async fn own_error_with_outcome(_: Raw) -> Result<Outcome> {
    Ok(Outcome::Ack)
}

#[topic_handler("h")]
async fn boxed(_: Raw) -> Result<(), Box<dyn Error + Send + Sync>> {
    Ok(())
}

#[topic_handler("i")]
async fn text(_: Raw) -> Result<(), &'static str> {
    Err("no")
}

#[topic_handler("j")]
async fn io(_: Raw) -> std::io::Result<()> {
    Ok(())
}

#[topic_handler("k")]
async fn opaque(_: Raw) -> impl IntoOutcome + Send {}

fn main() {}
