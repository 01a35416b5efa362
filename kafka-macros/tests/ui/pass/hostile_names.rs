#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]

//! Names of the user's that stand in the way of careless macros.

mod core {}
mod std {}
mod alloc {}
mod kafka_core {}
mod inventory {}

struct Result;
struct Box;
struct Option;
struct Some;
struct Ok;
struct Err;
struct Vec;
struct String;
struct Outcome;
struct Batch;
struct BatchOutcome;
struct Registration;
trait Send {}
trait Sync {}
trait Future {}
trait FromRecord {}
trait Fn {}
trait Everything {
    fn decode(&self) {}
    fn of(&self) {}
    fn topics(&self) {}
    fn of_batch(&self) {}
    fn into_outcome(&self) {}
    fn from_record(&self) {}
}
impl<T> Everything for T {}

#[allow(non_upper_case_globals)]
const record: i32 = 1;
#[allow(non_upper_case_globals)]
const cx: i32 = 2;
#[allow(non_upper_case_globals)]
const value: i32 = 3;
#[allow(non_upper_case_globals)]
const error: i32 = 4;
#[allow(non_upper_case_globals)]
const returned: i32 = 5;

#[::kafka_runtime::topic_handler("a", ordering = "none", start = "latest", on_failure = "stop")]
async fn driver(_: ::kafka_runtime::Raw, _: ::kafka_runtime::Headers) {}

#[::kafka_runtime::topic_handler("b")]
async fn adapter(_: ::kafka_runtime::Record, _: ::kafka_runtime::State<i32>) {}

#[::kafka_runtime::topic_handler("c")]
async fn requires(_: u8) -> ::kafka_runtime::Outcome {
    ::kafka_runtime::Outcome::Ack
}

#[::kafka_runtime::topic_handler("d")]
async fn r#type(r#fn: u8) {
    let _ = r#fn;
}

#[::kafka_runtime::topic_handler("f", batch(max = 2))]
async fn decode(_: ::kafka_runtime::Batch<u8>, _: ::kafka_runtime::State<i32>) {}

#[allow(unused_macros)]
macro_rules! line {
    () => {
        compile_error!("the user's")
    };
}
#[allow(unused_macros)]
macro_rules! file {
    () => {
        compile_error!("the user's")
    };
}
#[allow(unused_macros)]
macro_rules! module_path {
    () => {
        compile_error!("the user's")
    };
}

#[::kafka_runtime::topic_handler("e")]
async fn main_(_: u8) {}

fn main() {
    let _ = (Result, Box, Option, Some, Ok, Err, Vec, String, Outcome, Registration);
    let _ = (Batch, BatchOutcome);
    let _ = (record, cx, value, error, returned);
    Everything::decode(&1);
    Everything::of(&1);
    Everything::of_batch(&1);
    Everything::topics(&1);
    Everything::into_outcome(&1);
    Everything::from_record(&1);
}
