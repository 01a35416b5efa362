//! The members of a group, and how to expel them, in Kafka's own protocol: no client has a request for it.

use crate::wire::{Answer, ask, text};
use crate::{KafkaCluster, RigError};

const LEAVE_GROUP: i16 = 13;
const DESCRIBE_GROUPS: i16 = 15;

/// Of both: Kafka 3 and 4 know it.
const VERSION: i16 = 0;

impl KafkaCluster {
    /// Returns the members of a group of the classic protocol, by the names that the coordinator gave them. Needs a cluster
    /// of one node, which then coordinates every group.
    ///
    /// # Errors
    ///
    /// [`RigError::NoSuchNode`], an I/O error.
    pub fn members(&self, group_id: &str) -> Result<Vec<String>, RigError> {
        let doing = format!("list the members of {group_id}");
        let groups = [&1_i32.to_be_bytes()[..], &text(group_id)].concat();
        let mut answer = ask(self.node(1)?, DESCRIBE_GROUPS, VERSION, &groups)
            .map_err(RigError::io(doing.as_str()))?;
        members(&mut answer, &doing)
    }

    /// Takes all members out of a group of the classic protocol, as if each had left. They learn
    /// it with their next heartbeat or commit. Needs a cluster of one node, too.
    ///
    /// # Errors
    ///
    /// [`RigError::NotDone`] if the group has no members, [`RigError::NoSuchNode`], an I/O error.
    pub fn expel(&self, group_id: &str) -> Result<(), RigError> {
        let doing = format!("expel the members of {group_id}");
        let members = self.members(group_id)?;
        if members.is_empty() {
            return Err(RigError::NotDone {
                doing,
                code: 0,
                message: "it has no members".into(),
            });
        }
        for member in members {
            let body = [text(group_id), text(&member)].concat();
            ask(self.node(1)?, LEAVE_GROUP, VERSION, &body)
                .map_err(RigError::io(doing.as_str()))?
                .accepted_in_silence(&doing)?;
        }
        Ok(())
    }
}

/// Reads the names of a group's members.
fn members(answer: &mut Answer, doing: &str) -> Result<Vec<String>, RigError> {
    answer.skip(4); // the number of groups: one
    answer.accepted_in_silence(doing)?;
    for _name_state_type_protocol in 0..4 {
        answer.text();
    }
    let mut members = Vec::new();
    for _ in 0..answer.i32() {
        members.push(answer.text());
        for _client_host in 0..2 {
            answer.text();
        }
        for _metadata_assignment in 0..2 {
            answer.skip_bytes();
        }
    }
    Ok(members)
}
