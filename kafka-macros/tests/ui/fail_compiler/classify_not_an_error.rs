use kafka_runtime::{Classify, ErrorClass, classify};

struct MyError;

#[classify]
impl Classify for MyError {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

fn main() {}
