//! Every record that the real pipeline wrote is read: by the types of the library, and by the structs that
//! `kafka-runtime rows` prints for its tables.

mod filter;
mod golden;
mod identity;
mod kinds;
mod modes;
mod mutations;
mod old_rows;
mod printed;
mod rows;
mod typed;
