//! A handler in a library crate is there if the binary names the crate, and silently is not if it does not.

use kafka_runtime::{Config, Runtime, registered};
use linked_handlers as _;

#[test]
fn only_the_crate_that_is_named_registers_its_handlers() {
    let topics: Vec<_> = registered()
        .iter()
        .flat_map(|handler| handler.topics().to_vec())
        .collect();

    assert_eq!(topics, ["fixture.linked"]);
}

#[test]
fn its_handlers_are_placed_in_their_own_file() {
    let place = registered()[0].place().to_string();

    assert!(place.contains("fixtures/linked/src/lib.rs:"), "{place}");
}

#[tokio::test]
async fn it_can_be_built_into_a_runtime() {
    let config = Config::new().bootstrap_servers("localhost:1").group_id("g");

    assert!(Runtime::builder().config(config).build().is_ok());
}
