//! Without any handler, a runtime refuses to start and says what is usually missing.

use kafka_runtime::{Config, Problem, Runtime};

#[test]
fn a_crate_that_is_only_in_cargo_toml_registers_nothing_and_the_error_says_what_to_write() {
    let config = Config::new().bootstrap_servers("localhost:1").group_id("g");

    let error = Runtime::builder().config(config).build().unwrap_err();

    assert_eq!(error.problems, [Problem::NoHandlers]);
    assert!(
        error.to_string().contains("use my_handlers as _;"),
        "{error}"
    );
}
