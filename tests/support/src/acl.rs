//! Forbids and allows, in Kafka's own protocol: the client has no requests for it, and the
//! command line tool needs a second of Java for what takes milliseconds.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::wire::{self, Answer, text};
use crate::{KafkaCluster, Node, RigError};

const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Versions without tagged fields, which Kafka 3 and 4 know.
const VERSION: i16 = 1;

const DESCRIBE_ACLS: i16 = 29;
const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;

const TOPIC: u8 = 2;
const LITERAL: u8 = 3;
const ANY: u8 = 1;
const ALL: u8 = 2;
const WRITE: u8 = 4;
const DENY: u8 = 2;
const ALLOW: u8 = 3;

impl KafkaCluster {
    /// Forbids everybody to write to a topic; all else stays allowed. Returns when all nodes
    /// that run know it. Needs [`authorizer(true)`](crate::ClusterBuilder::authorizer).
    ///
    /// # Errors
    ///
    /// [`RigError::NotDone`] without an authorizer, [`RigError::NotInTime`],
    /// [`RigError::NodeDown`] if no node runs.
    pub fn deny_write(&self, topic: &str) -> Result<(), RigError> {
        // What a topic with a rule does not allow is forbidden. All is allowed first and
        // forbidden last, so that no client asks in between and may not even see the topic.
        let doing = format!("deny writes to {topic}");
        for (rule, rules) in [rule(topic, ALL, ALLOW), rule(topic, WRITE, DENY)]
            .iter()
            .zip(1..)
        {
            self.change_rules(CREATE_ACLS, rule, &doing)?;
            self.wait_for_rules(topic, |known| known >= rules)?;
        }
        Ok(())
    }

    /// Removes all rules about a topic, those of [`deny_write`](Self::deny_write) too. A
    /// producer of librdkafka that was refused goes on failing without asking the node,
    /// until it has fetched metadata again: about a second.
    ///
    /// # Errors
    ///
    /// Those of [`deny_write`](Self::deny_write).
    pub fn allow_write(&self, topic: &str) -> Result<(), RigError> {
        let doing = format!("allow writes to {topic}");
        for (permission, rules) in [(DENY, 1), (ANY, 0)] {
            self.change_rules(DELETE_ACLS, &filter(topic, permission), &doing)?;
            self.wait_for_rules(topic, |known| known <= rules)?;
        }
        Ok(())
    }

    /// Sends one rule, or one filter of rules. Any node passes it on to the controller.
    fn change_rules(&self, key: i16, one: &[u8], doing: &str) -> Result<(), RigError> {
        let up = self.nodes().iter().find(|node| node.is_up());
        let node = up.ok_or(RigError::NodeDown(1))?;
        let body = [&1_i32.to_be_bytes(), one].concat();
        let mut answer = ask(node, key, &body).map_err(RigError::io(doing))?;
        answer.skip(4); // the number of results: one
        answer.accepted(doing)
    }

    fn wait_for_rules(&self, topic: &str, is_so: impl Fn(i32) -> bool) -> Result<(), RigError> {
        let deadline = Instant::now() + LIMIT;
        for node in self.nodes().iter().filter(|node| node.is_up()) {
            while !is_so(rules(node, topic)?) {
                if Instant::now() >= deadline {
                    return Err(RigError::NotInTime {
                        waiting_for: format!("node {} knows the rules of {topic}", node.id()),
                        waited: LIMIT,
                    });
                }
                thread::sleep(POLL);
            }
        }
        Ok(())
    }
}

/// Returns how many rules about a topic a node knows.
fn rules(node: &Node, topic: &str) -> Result<i32, RigError> {
    let doing = format!("read the rules of {topic} from node {}", node.id());
    let mut answer =
        ask(node, DESCRIBE_ACLS, &filter(topic, ANY)).map_err(RigError::io(doing.as_str()))?;
    answer.accepted(&doing)?;
    if answer.i32() == 0 {
        return Ok(0); // topics, of which there is at most the one
    }
    answer.skip(1); // the type of resource
    answer.text();
    answer.skip(1); // the type of pattern
    Ok(answer.i32())
}

fn rule(topic: &str, operation: u8, permission: u8) -> Vec<u8> {
    let mut bytes = vec![TOPIC];
    bytes.extend(text(topic));
    bytes.push(LITERAL);
    bytes.extend(text("User:*"));
    bytes.extend(text("*")); // from any host
    bytes.extend([operation, permission]);
    bytes
}

/// The rules about a topic that allow, deny, or any.
fn filter(topic: &str, permission: u8) -> Vec<u8> {
    const NULL: [u8; 2] = [0xff; 2];
    let mut bytes = vec![TOPIC];
    bytes.extend(text(topic));
    bytes.push(LITERAL);
    bytes.extend(NULL); // whoever
    bytes.extend(NULL); // from wherever
    bytes.extend([ANY, permission]);
    bytes
}

/// Sends a request and returns the answer, from behind its throttle time.
fn ask(node: &Node, key: i16, body: &[u8]) -> io::Result<Answer> {
    let mut answer = wire::ask(node, key, VERSION, body)?;
    answer.skip(4);
    Ok(answer)
}
