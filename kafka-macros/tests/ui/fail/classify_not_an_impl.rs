use kafka_runtime::classify;

#[classify]
struct MyError;

fn main() {}
