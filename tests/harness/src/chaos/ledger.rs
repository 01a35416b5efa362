//! What a worker did, line by line, in a file that outlives a `kill -9`.
//!
//! Each line is written with one call to a file that is open for appending, before the handler goes on. The page cache
//! survives the process, so a line that was written is there, and at most the last one is torn.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, bail};

use super::clock::{self, Nanos};

/// A partition, its topic given by its place in the scenario's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Partition {
    pub(crate) topic: usize,
    pub(crate) number: i32,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct At {
    pub(crate) partition: Partition,
    pub(crate) offset: i64,
}

/// How a call of a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Ok,
    /// It asked for the record to be skipped.
    Skip,
    /// It failed, and asked for another attempt or none.
    Failed,
    Panicked,
    /// Its future was dropped before its end.
    Dropped,
}

/// Something that a worker did or was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The process runs. The wall clock is for people.
    Started {
        wall: u128,
    },
    /// A call of the handler begins.
    Begun {
        call: u64,
        at: At,
        n: i64,
        attempt: u32,
    },
    /// It is about to end.
    Ended {
        call: u64,
        how: Ending,
    },
    /// Partitions are read from these offsets; `None` is the oldest record.
    Assigned(Vec<(Partition, Option<i64>)>),
    Revoked {
        partitions: Vec<Partition>,
        drained_ms: u64,
        dropped: u64,
    },
    Lost(Vec<Partition>),
    DeadLettered {
        at: At,
        attempts: u32,
    },
    Skipped {
        at: At,
    },
    /// A batch was given the record, and left it undone: behind one of its key that failed, or with the whole batch.
    Passed {
        at: At,
        attempt: u32,
    },
    /// It is being written to a retry topic, after so many attempts.
    Parked {
        at: At,
        attempts: u32,
    },
    /// Its dead letter, or its copy for a retry topic, could not be written.
    Delayed {
        at: At,
    },
    /// The next offset is not on the broker any more; the text says what is.
    OutOfRange(String),
    /// The client reported an error.
    Complained(String),
    /// The member has left its group.
    Stopped {
        took_ms: u64,
        unfinished: u64,
    },
    /// The process is about to end, with this error if there is one.
    Exited(Option<String>),
}

/// An entry, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) ns: Nanos,
    pub(crate) entry: Entry,
}

/// A ledger that a worker writes.
#[derive(Debug)]
pub(crate) struct Ledger(File);

impl Ledger {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::options().create(true).append(true).open(path)?))
    }

    /// Appends an entry. A worker whose ledger cannot be written proves nothing any more, so it ends.
    pub(crate) fn write(&self, entry: Entry) {
        let line = Line {
            ns: clock::now(),
            entry,
        };
        if (&self.0).write_all(format!("{line}\n").as_bytes()).is_err() {
            std::process::abort();
        }
    }
}

/// True if the last thing in a ledger is a call that began.
pub(crate) fn ends_in_a_call(path: &Path) -> bool {
    let read_end = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(200)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(end)
    };
    let end = read_end().unwrap_or_default();
    let last = String::from_utf8_lossy(&end);
    last.lines()
        .last()
        .is_some_and(|line| line.contains(" begun "))
}

/// True if a ledger says that partitions were assigned.
pub(crate) fn has_partitions(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    lines.any(|line| {
        line.split_once(" assigned ")
            .is_some_and(|(_, list)| !list.is_empty())
    })
}

/// Reads a ledger; a last line without an end is left out.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    whole
        .lines()
        .zip(1..)
        .map(|(line, number)| {
            line.parse()
                .with_context(|| format!("{}:{number}: {line:?}", path.display()))
        })
        .collect()
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

impl Ending {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Ok, "ok"),
        (Self::Skip, "skip"),
        (Self::Failed, "failed"),
        (Self::Panicked, "panicked"),
        (Self::Dropped, "dropped"),
    ];
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(ending, _)| ending == self);
        f.write_str(found.map_or("", |(_, text)| text))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.ns)?;
        match &self.entry {
            Entry::Started { wall } => write!(f, "started {wall}"),
            Entry::Begun {
                call,
                at,
                n,
                attempt,
            } => write!(f, "begun {call} {at} {n} {attempt}"),
            Entry::Ended { call, how } => write!(f, "ended {call} {how}"),
            Entry::Assigned(partitions) => {
                f.write_str("assigned ")?;
                list(f, partitions, |f, (partition, offset)| {
                    write!(f, "{partition}/{}", offset.unwrap_or(-1))
                })
            }
            Entry::Revoked {
                partitions,
                drained_ms,
                dropped,
            } => {
                write!(f, "revoked {drained_ms} {dropped} ")?;
                list(f, partitions, |f, partition| write!(f, "{partition}"))
            }
            Entry::Lost(partitions) => {
                f.write_str("lost ")?;
                list(f, partitions, |f, partition| write!(f, "{partition}"))
            }
            Entry::DeadLettered { at, attempts } => write!(f, "dead_lettered {at} {attempts}"),
            Entry::Skipped { at } => write!(f, "skipped {at}"),
            Entry::Passed { at, attempt } => write!(f, "passed {at} {attempt}"),
            Entry::Parked { at, attempts } => write!(f, "parked {at} {attempts}"),
            Entry::Delayed { at } => write!(f, "delayed {at}"),
            Entry::OutOfRange(text) => write!(f, "out_of_range {}", one_line(text)),
            Entry::Complained(text) => write!(f, "complained {}", one_line(text)),
            Entry::Stopped {
                took_ms,
                unfinished,
            } => write!(f, "stopped {took_ms} {unfinished}"),
            Entry::Exited(error) => {
                write!(f, "exited {}", one_line(error.as_deref().unwrap_or("")))
            }
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    item: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (n, one) in items.iter().enumerate() {
        if n > 0 {
            f.write_char(',')?;
        }
        item(f, one)?;
    }
    Ok(())
}

/// One write of a line is one line, so it must not be long or have ends of lines in it.
fn one_line(text: &str) -> String {
    text.chars()
        .take(500)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

impl FromStr for Partition {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (topic, number) = text.split_once('/').context("no partition")?;
        Ok(Self {
            topic: topic.parse()?,
            number: number.parse()?,
        })
    }
}

impl FromStr for At {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (partition, offset) = text.rsplit_once('/').context("no offset")?;
        Ok(Self {
            partition: partition.parse()?,
            offset: offset.parse()?,
        })
    }
}

impl FromStr for Ending {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        Ok(found.context("no such ending")?.0)
    }
}

impl FromStr for Line {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (ns, rest) = text.split_once(' ').context("no time")?;
        let (word, rest) = rest.split_once(' ').context("no word")?;
        let mut parts = rest.split(' ');
        let mut next = || parts.next().context("it is too short");
        let entry = match word {
            "started" => Entry::Started {
                wall: next()?.parse()?,
            },
            "begun" => Entry::Begun {
                call: next()?.parse()?,
                at: next()?.parse()?,
                n: next()?.parse()?,
                attempt: next()?.parse()?,
            },
            "ended" => Entry::Ended {
                call: next()?.parse()?,
                how: next()?.parse()?,
            },
            "assigned" => Entry::Assigned(each(next()?, |text| {
                let at: At = text.parse()?;
                Ok((at.partition, Some(at.offset).filter(|offset| *offset >= 0)))
            })?),
            "revoked" => Entry::Revoked {
                drained_ms: next()?.parse()?,
                dropped: next()?.parse()?,
                partitions: each(next()?, str::parse)?,
            },
            "lost" => Entry::Lost(each(next()?, str::parse)?),
            "dead_lettered" => Entry::DeadLettered {
                at: next()?.parse()?,
                attempts: next()?.parse()?,
            },
            "skipped" => Entry::Skipped {
                at: next()?.parse()?,
            },
            "passed" => Entry::Passed {
                at: next()?.parse()?,
                attempt: next()?.parse()?,
            },
            "parked" => Entry::Parked {
                at: next()?.parse()?,
                attempts: next()?.parse()?,
            },
            "delayed" => Entry::Delayed {
                at: next()?.parse()?,
            },
            "out_of_range" => Entry::OutOfRange(rest.to_owned()),
            "complained" => Entry::Complained(rest.to_owned()),
            "stopped" => Entry::Stopped {
                took_ms: next()?.parse()?,
                unfinished: next()?.parse()?,
            },
            "exited" => Entry::Exited(Some(rest.to_owned()).filter(|text| !text.is_empty())),
            other => bail!("no such entry: {other}"),
        };
        Ok(Self {
            ns: ns.parse()?,
            entry,
        })
    }
}

fn each<T>(text: &str, parse: impl Fn(&str) -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    text.split(',')
        .filter(|item| !item.is_empty())
        .map(parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{At, Ending, Entry, Ledger, Line, Partition, ends_in_a_call, has_partitions, read};

    const PARTITION: Partition = Partition {
        topic: 1,
        number: 3,
    };

    fn entries() -> Vec<Entry> {
        let at = At {
            partition: PARTITION,
            offset: 41,
        };
        vec![
            Entry::Started { wall: 5 },
            Entry::Begun {
                call: 7,
                at,
                n: -1,
                attempt: 2,
            },
            Entry::Ended {
                call: 7,
                how: Ending::Dropped,
            },
            Entry::Assigned(vec![(PARTITION, Some(4)), (PARTITION, None)]),
            Entry::Assigned(Vec::new()),
            Entry::Revoked {
                partitions: vec![PARTITION],
                drained_ms: 12,
                dropped: 1,
            },
            Entry::Lost(vec![PARTITION, PARTITION]),
            Entry::DeadLettered { at, attempts: 4 },
            Entry::Skipped { at },
            Entry::Passed { at, attempt: 1 },
            Entry::Parked { at, attempts: 2 },
            Entry::Delayed { at },
            Entry::OutOfRange("t[0]: 4".into()),
            Entry::Complained("a b".into()),
            Entry::Stopped {
                took_ms: 9,
                unfinished: 0,
            },
            Entry::Exited(Some("x y".into())),
            Entry::Exited(None),
        ]
    }

    #[test]
    fn what_is_written_is_read() -> anyhow::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let ledger = Ledger::open(file.path())?;

        for entry in entries() {
            ledger.write(entry);
        }

        assert!(!ends_in_a_call(file.path()));
        assert!(has_partitions(file.path()));
        ledger.write(entries().swap_remove(1));
        assert!(ends_in_a_call(file.path()));

        let mut found: Vec<Entry> = read(file.path())?.into_iter().map(|l| l.entry).collect();
        found.pop();
        assert_eq!(found, entries());
        Ok(())
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_a_torn_other_one_is_an_error() -> anyhow::Result<()> {
        let file = tempfile::NamedTempFile::new()?;

        std::fs::write(file.path(), "1 skipped 0/0/7\n2 begun 1 0/0")?;
        assert_eq!(read(file.path())?.len(), 1);

        std::fs::write(file.path(), "2 begun 1 0/0\n1 skipped 0/0/7\n")?;
        assert!(read(file.path()).is_err());
        Ok(())
    }

    #[test]
    fn a_text_of_many_lines_is_one_line() {
        let line = Line {
            ns: 1,
            entry: Entry::Complained("a\nb".into()),
        };

        assert_eq!(line.to_string(), "1 complained a b");
    }
}
