//! The way of a record from the client to its commit.

pub(crate) mod lane;
