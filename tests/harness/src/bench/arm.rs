//! The arms of the benchmark: ways to read the same records.

use clap::ValueEnum;

/// A way to read a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Arm {
    /// Polls, and decodes nothing: the floor
    Poll,
    /// The hand-written loop with librdkafka's own defaults
    LoopDefaults,
    /// The hand-written loop: `BaseConsumer`, owned structs, offsets stored after the work; tuned
    Loop,
    /// The same over `StreamConsumer`
    Stream,
    /// Hand-written lanes: messages sent to tasks by their key, offsets tracked
    Lanes,
    /// `RustStream` as it is by default
    RuststreamDefault,
    /// `RustStream`, each record acked after its handler
    RuststreamTracked,
    /// `RustStream`, eight workers by key
    RuststreamKeyed,
    /// `RustStream`, eight threads by key
    RuststreamThreads,
    /// kafka-runtime: the structs of the hand-written loop, order by key
    Key,
    /// … order by partition
    Partition,
    /// … no order
    None,
    /// … batches
    Batch,
    /// … a row that borrows from the record, in a `DatabaseEvent`
    Borrowed,
    /// … `DatabaseEvent`, the old row not read
    Event,
    /// … the bytes as they are
    Raw,
    /// … many handlers, each for a topic, with nothing to do
    Idle,
}

impl Arm {
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// True if it is this project's runtime.
    pub(crate) fn is_ours(self) -> bool {
        self >= Self::Key
    }

    /// True if it decodes the records, and can prove it.
    pub(crate) fn decodes(self) -> bool {
        !matches!(self, Self::Poll | Self::Raw)
    }

    /// Returns the mode of the program of `RustStream`, if that is what it is.
    pub(crate) fn ruststream(self) -> Option<&'static str> {
        match self {
            Self::RuststreamDefault => Some("default"),
            Self::RuststreamTracked => Some("tracked"),
            Self::RuststreamKeyed => Some("keyed"),
            Self::RuststreamThreads => Some("threads"),
            _ => None,
        }
    }
}
