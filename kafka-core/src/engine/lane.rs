//! stub
use crate::{HandlerContext, Outcome, Record};
/// x
pub trait LaneDriver: Send {}
/// x
#[derive(Debug)]
pub struct Lane<F> {
    _adapter: F,
}
impl<F, Fut> Lane<F>
where
    F: Fn(Record, HandlerContext) -> Fut + Send + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    /// x
    pub fn new(adapter: F) -> Self {
        Self { _adapter: adapter }
    }
}
impl<F, Fut> LaneDriver for Lane<F>
where
    F: Fn(Record, HandlerContext) -> Fut + Send + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
}
