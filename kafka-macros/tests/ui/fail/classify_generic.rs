use kafka_runtime::{Classify, ErrorClass, classify};

struct MyError<T>(T);

#[classify]
impl<T> Classify for MyError<T> {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

fn main() {}
