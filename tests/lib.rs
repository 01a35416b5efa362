//! Black-box suites of `kafka-runtime`: the `[[test]]` targets of this package, on real Kafka.
