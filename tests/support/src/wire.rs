//! Requests in Kafka's own protocol that no client has: without tagged fields, one connection each.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::{Node, RigError};

const LIMIT: Duration = Duration::from_secs(10);

pub(crate) fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// Sends a request over a connection of its own and returns the answer.
pub(crate) fn ask(node: &Node, key: i16, version: i16, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(node.bootstrap_servers())?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut request = [key.to_be_bytes(), version.to_be_bytes()].concat();
    request.extend([0; 4]); // correlation id
    request.extend(text("test-support"));
    request.extend(body);
    let length = u32::try_from(request.len()).unwrap_or_default();
    stream.write_all(&[&length.to_be_bytes(), &request[..]].concat())?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut bytes)?;
    let mut answer = Answer { bytes, read: 0 };
    answer.skip(4); // correlation id
    Ok(answer)
}

/// What a node answered, read from its start. Past its end there are zeros.
pub(crate) struct Answer {
    bytes: Vec<u8>,
    read: usize,
}

impl Answer {
    /// Reads an error code and its message.
    pub(crate) fn accepted(&mut self, doing: &str) -> Result<(), RigError> {
        let code = self.i16();
        let message = self.text();
        Self::judge(code, message, doing)
    }

    /// Reads an error code.
    pub(crate) fn accepted_in_silence(&mut self, doing: &str) -> Result<(), RigError> {
        let code = self.i16();
        Self::judge(code, String::new(), doing)
    }

    fn judge(code: i16, message: String, doing: &str) -> Result<(), RigError> {
        if code == 0 {
            return Ok(());
        }
        Err(RigError::NotDone {
            doing: doing.into(),
            code,
            message,
        })
    }

    /// Reads a text that may be null.
    pub(crate) fn text(&mut self) -> String {
        let length = self.i16();
        let from = self.read;
        self.skip(usize::try_from(length).unwrap_or_default());
        let bytes = self.bytes.get(from..self.read).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Skips bytes that have their length before them.
    pub(crate) fn skip_bytes(&mut self) {
        let length = self.i32();
        self.skip(usize::try_from(length).unwrap_or_default());
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.next())
    }

    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.next())
    }

    fn next<const BYTES: usize>(&mut self) -> [u8; BYTES] {
        let from = self.read;
        self.skip(BYTES);
        let bytes = self.bytes.get(from..self.read).unwrap_or_default();
        bytes.try_into().unwrap_or([0; BYTES])
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.read += bytes;
    }
}
