use kafka_runtime::classify;

struct MyError;

#[classify]
impl MyError {}

fn main() {}
