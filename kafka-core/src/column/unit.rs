//! The unit that a time or a timestamp is counted in.

/// The unit of a [`Time`](super::Time) or a [`Timestamp`](super::Timestamp): JSON does not tell it, the column's precision and the
/// connector's `time.precision.mode` do.
pub trait Unit: sealed::Sealed {
    /// How many nanoseconds it has.
    const NANOS: i64;
    /// What [`Timestamp`](super::Timestamp) has for `infinity`, and the negative for `-infinity`, which the connector takes
    /// from PostgreSQL's driver (`PGStatement.DATE_POSITIVE_INFINITY`, `DATE_NEGATIVE_INFINITY`).
    #[doc(hidden)]
    const INFINITY: (i64, i64);

    /// False for what is known to be the outcome of an overflow in the connector.
    #[doc(hidden)]
    fn is_sound(_count: i64) -> bool {
        true
    }
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Millis {}

/// Microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Micros {}

/// Nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nanos {}

impl Unit for Millis {
    const NANOS: i64 = 1_000_000;
    const INFINITY: (i64, i64) = (9_223_372_036_825_200, -9_223_372_036_832_400);
}

impl Unit for Micros {
    const NANOS: i64 = 1_000;
    const INFINITY: (i64, i64) = (9_223_372_036_825_200_000, -9_223_372_036_832_400_000);
}

impl Unit for Nanos {
    const NANOS: i64 = 1;
    // The connector's own arithmetic overflows: what it sends is an ordinary number.
    const INFINITY: (i64, i64) = (i64::MAX, i64::MIN);

    /// No database has nanoseconds: PostgreSQL's timestamps end with microseconds, SQL Server's with 100 ns. The other two
    /// are what the connector makes of `infinity` and `-infinity`, as observed with Debezium 3.2.1.
    fn is_sound(count: i64) -> bool {
        count % 100 == 0 && ![-29_575_808_000, 22_375_808_000].contains(&count)
    }
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Millis {}
    impl Sealed for super::Micros {}
    impl Sealed for super::Nanos {}
}
