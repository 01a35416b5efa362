//! Every record that the real pipeline wrote is read: by the types of the library, and by the structs that
//! `kafka-runtime rows` prints for its tables.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod database;
#[expect(unreachable_pub, reason = "as it was printed")]
mod database_rows;
mod filter;
mod golden;
mod identity;
mod kinds;
mod modes;
mod mutations;
mod old_rows;
mod printed;
#[expect(unreachable_pub, reason = "as it was printed")]
mod rows;
mod typed;
