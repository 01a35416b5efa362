pub(crate) fn add(suite: test_support::Suite) -> test_support::Suite { suite }
