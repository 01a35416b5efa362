//! Programs that must compile, and programs that must not, with what their author is told.
//!
//! `TRYBUILD=overwrite cargo test -p kafka-macros --test ui` writes the `.stderr` files; read them as a user would.

#[test]
fn good_handlers_compile() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}

#[test]
fn mistakes_are_told_at_the_token_to_change() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}

/// The words and notes of these are the compiler's own, and change with it.
#[rustversion::attr(not(stable(1.95)), ignore = "worded by rustc 1.95")]
#[test]
fn what_the_compiler_finds_is_told_in_our_words() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail_compiler/*.rs");
}
