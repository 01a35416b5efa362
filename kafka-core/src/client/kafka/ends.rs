//! Where a partition begins and ends.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};

use super::errors::client_error;
use crate::error::ClientError;
use crate::record::{Offset, TopicPartition};

/// Asks for the oldest offset of a partition, and for the one after its last record.
///
/// `rd_kafka_query_watermark_offsets` asks both at once, and if the first answer is an error and the second is not, it
/// says that the partition is empty (librdkafka 2.12): whoever believes it skips all that is there. So an empty one is asked
/// for again, one end after the other, by the call for timestamps: the protocol has the same request for both, with a time
/// below zero. Not every time, since a question can wait behind a fetch for `fetch.wait.max.ms`.
pub(super) fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    of: &TopicPartition,
    timeout: Duration,
) -> Result<(Offset, Offset), ClientError> {
    let until = Instant::now() + timeout;
    let ask = |which: rdkafka::Offset| {
        let left = until.saturating_duration_since(Instant::now());
        let mut list = TopicPartitionList::with_capacity(1);
        let answer = list
            .add_partition_offset(&of.topic, of.partition, which)
            .and_then(|()| consumer.offsets_for_times(list, left))
            .map_err(|error| client_error(&error, None))?;
        let found = answer.find_partition(&of.topic, of.partition);
        match found.map(|found| (found.error(), found.offset())) {
            Some((Ok(()), rdkafka::Offset::Offset(offset))) => Ok(Offset(offset)),
            Some((Err(error), _)) => Err(client_error(&error, None)),
            _ => Err(ClientError::Other(format!("{of}: no answer to {which:?}"))),
        }
    };
    let (oldest, end) = consumer
        .fetch_watermarks(&of.topic, of.partition, timeout)
        .map_err(|error| client_error(&error, None))?;
    if oldest < end {
        return Ok((Offset(oldest), Offset(end)));
    }
    match ask(rdkafka::Offset::End)? {
        // Nothing was ever in it.
        Offset(0) => Ok((Offset(0), Offset(0))),
        end => Ok((ask(rdkafka::Offset::Beginning)?, end)),
    }
}
