use kafka_runtime::classify;

#[derive(Debug)]
struct MyError;

#[classify]
impl Clone for MyError {
    fn clone(&self) -> Self {
        Self
    }
}

fn main() {}
