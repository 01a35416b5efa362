//! Asks Kafka Connect through its REST interface.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::RigError;

/// Connect answers within its own 90 s, or not.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);

/// How long a worker that rebalances (409) is asked again.
const REBALANCE_LIMIT: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(100);

type Answer = Result<Response<Body>, ureq::Error>;

/// The REST interface of one worker.
#[derive(Debug)]
pub(crate) struct Rest {
    address: String,
    agent: Agent,
}

impl Rest {
    pub(crate) fn new(address: String) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_LIMIT))
            .proxy(None) // it is on this machine
            .build();
        Self {
            address,
            agent: config.into(),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns what is at `path`, `None` if nothing is.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>, RigError> {
        let text = Self::ask(&format!("show {path}"), || {
            self.agent.get(self.url(path)).call()
        })?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(crate) fn put(&self, path: &str, body: &BTreeMap<String, String>) -> Result<(), RigError> {
        let doing = format!("put {path}");
        let body = serde_json::json!(body).to_string();
        Self::change(&doing, || {
            self.agent
                .put(self.url(path))
                .content_type("application/json")
                .send(&body)
        })
    }

    pub(crate) fn post(&self, path: &str) -> Result<(), RigError> {
        let doing = format!("post {path}");
        Self::change(&doing, || self.agent.post(self.url(path)).send_empty())
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), RigError> {
        let doing = format!("delete {path}");
        Self::change(&doing, || self.agent.delete(self.url(path)).call())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    fn change(doing: &str, request: impl Fn() -> Answer) -> Result<(), RigError> {
        match Self::ask(doing, request)? {
            Some(_) => Ok(()),
            None => Err(refused(doing, &"not found")),
        }
    }

    /// Returns the body of the answer, `None` for 404. A worker that is rebalancing is asked again.
    fn ask(doing: &str, request: impl Fn() -> Answer) -> Result<Option<String>, RigError> {
        let deadline = Instant::now() + REBALANCE_LIMIT;
        loop {
            let mut answer = request().map_err(|error| refused(doing, &error))?;
            let status = answer.status();
            let text = answer
                .body_mut()
                .read_to_string()
                .map_err(|error| refused(doing, &error))?;
            match status.as_u16() {
                200..300 => return Ok(Some(text)),
                404 => return Ok(None),
                409 if Instant::now() < deadline => thread::sleep(POLL),
                _ => return Err(refused(doing, &format!("{status} {text}"))),
            }
        }
    }
}

fn refused(doing: &str, answer: &impl ToString) -> RigError {
    RigError::ConnectRefused {
        doing: doing.into(),
        answer: answer.to_string(),
    }
}
