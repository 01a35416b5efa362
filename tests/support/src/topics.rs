//! Looks at a cluster from outside, as the test: creates topics, writes, reads back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::{NewRecord, RigError, StoredRecord, unique_name};

const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// How long a record may take to be written: an election on a busy machine, and more.
const PRODUCE_LIMIT: Duration = Duration::from_mins(1);

/// How long a node may take to answer a request of the producer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Far below librdkafka's `queue.buffering.max.messages` of 100,000: no send fails for a
/// full queue.
const BATCH: usize = 10_000;

/// The broker's `default.replication.factor`.
const DEFAULT_REPLICATION: TopicReplication<'static> = TopicReplication::Fixed(-1);

/// The topics of a cluster as a test sees them, apart from the code under test.
#[derive(Clone)]
pub struct Topics {
    config: ClientConfig,
    admin: Arc<AdminClient<DefaultClientContext>>,
    producer: FutureProducer,
}

/// A partition of a topic, and where its replicas are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// The `node.id` of its leader; `None` while there is none.
    pub leader: Option<i32>,
    /// The nodes that have a replica, sorted.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync, sorted.
    pub in_sync: Vec<i32>,
}

impl Topics {
    /// Connects to plaintext listeners.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if the addresses are malformed.
    pub fn new(bootstrap_servers: &str) -> Result<Self, RigError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap_servers);
        Self::with_config(config)
    }

    /// Connects as `config` says, for TLS and SASL.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if the configuration is refused.
    pub fn with_config(config: ClientConfig) -> Result<Self, RigError> {
        let admin = config
            .create()
            .map_err(RigError::client("create an admin client"))?;
        let producer = config
            .clone()
            .set("linger.ms", "0")
            .set("acks", "all")
            // In order, as `produce_all` says: else what a new leader refuses is written after what came later.
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", PRODUCE_LIMIT.as_millis().to_string())
            // A suspended node takes requests and never answers: they are sent again to whoever leads then.
            .set("request.timeout.ms", ANSWER_LIMIT.as_millis().to_string())
            .set("socket.timeout.ms", ANSWER_LIMIT.as_millis().to_string())
            .create()
            .map_err(RigError::client("create a producer"))?;
        Ok(Self {
            config,
            admin: Arc::new(admin),
            producer,
        })
    }

    /// Creates a topic and waits until every partition has a leader.
    ///
    /// # Errors
    ///
    /// [`RigError::Refused`] if it exists, among others.
    pub async fn create(&self, topic: &str, partitions: i32) -> Result<(), RigError> {
        self.create_with(topic, partitions, &[]).await
    }

    /// Creates a topic with topic properties such as `cleanup.policy`.
    ///
    /// # Errors
    ///
    /// [`RigError::Refused`] if it exists or a property is unknown, among others.
    pub async fn create_with(
        &self,
        topic: &str,
        partitions: i32,
        properties: &[(&str, &str)],
    ) -> Result<(), RigError> {
        let doing = format!("create topic {topic}");
        let mut new_topic = NewTopic::new(topic, partitions, DEFAULT_REPLICATION);
        for (key, value) in properties {
            new_topic = new_topic.set(key, value);
        }
        let create = || self.admin.create_topics([&new_topic], &admin_options());
        let mut results = create().await;
        // librdkafka gives up requests to a node that left the metadata for a moment, as one that
        // was killed or suspended does. Whether that request was heard nobody knows.
        let is_repeated = results == Err(KafkaError::AdminOp(RDKafkaErrorCode::DestroyBroker));
        if is_repeated {
            results = create().await;
        }
        match accepted(results.map_err(RigError::client(doing.as_str()))?, &doing) {
            Err(RigError::Refused { code, .. })
                if is_repeated && code == RDKafkaErrorCode::TopicAlreadyExists => {}
            result => result?,
        }
        self.wait_for_leaders(topic, partitions).await
    }

    /// Increases the number of partitions of a topic to `partitions` and waits until every
    /// partition has a leader.
    ///
    /// # Errors
    ///
    /// [`RigError::Refused`] if it has that many already, among others.
    pub async fn create_partitions(&self, topic: &str, partitions: i32) -> Result<(), RigError> {
        let doing = format!("increase topic {topic} to {partitions} partitions");
        let total = usize::try_from(partitions).unwrap_or_default();
        let results = self
            .admin
            .create_partitions([&NewPartitions::new(topic, total)], &admin_options())
            .await
            .map_err(RigError::client(doing.as_str()))?;
        accepted(results, &doing)?;
        self.wait_for_leaders(topic, partitions).await
    }

    /// Deletes the records of a partition before `offset`, as retention does. -1 is its end.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if the offset is past the end, among others.
    pub async fn delete_records(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), RigError> {
        let doing = format!("delete records of {topic} before {offset}");
        let mut offsets = TopicPartitionList::new();
        let until = match offset {
            -1 => Offset::End,
            offset => Offset::Offset(offset),
        };
        offsets
            .add_partition_offset(topic, partition, until)
            .map_err(RigError::client(doing.as_str()))?;
        let deleted = self.admin.delete_records(&offsets, &admin_options()).await;
        deleted
            .and_then(|deleted| {
                deleted
                    .elements()
                    .iter()
                    .try_for_each(TopicPartitionListElem::error)
            })
            .map_err(RigError::client(doing))
    }

    /// Deletes a topic and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`RigError::Refused`] if it does not exist, among others.
    pub async fn delete(&self, topic: &str) -> Result<(), RigError> {
        let doing = format!("delete topic {topic}");
        let results = self
            .admin
            .delete_topics(&[topic], &admin_options())
            .await
            .map_err(RigError::client(doing.as_str()))?;
        accepted(results, &doing)?;
        self.wait_for(topic, "it is gone", |found| found.is_none())
            .await
    }

    /// Returns the names of all topics, sorted.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if no broker answers.
    pub async fn names(&self) -> Result<Vec<String>, RigError> {
        let admin = Arc::clone(&self.admin);
        let names = spawn_blocking(move || {
            let metadata = admin.inner().fetch_metadata(None, LIMIT)?;
            let mut names: Vec<String> = metadata
                .topics()
                .iter()
                .map(|topic| topic.name().to_owned())
                .collect();
            names.sort();
            Ok(names)
        })
        .await?;
        names.map_err(RigError::client("list the topics"))
    }

    /// Returns the partitions of a topic, or `None` if it does not exist. Never creates it.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if no broker answers.
    pub async fn describe(
        &self,
        topic: &str,
    ) -> Result<Option<Vec<PartitionDescription>>, RigError> {
        let admin = Arc::clone(&self.admin);
        let topic = topic.to_owned();
        spawn_blocking(move || {
            // Asking for one topic by name would create it where brokers do that.
            let metadata = admin
                .inner()
                .fetch_metadata(None, LIMIT)
                .map_err(RigError::client(format!("describe topic {topic}")))?;
            let found = metadata.topics().iter().find(|one| one.name() == topic);
            Ok(found.map(|topic| topic.partitions().iter().map(describe_one).collect()))
        })
        .await?
    }

    /// Produces one record; returns its partition and offset once all replicas have it.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if it is not delivered.
    pub async fn produce(&self, record: NewRecord) -> Result<(i32, i64), RigError> {
        let doing = format!("produce to {}", record.topic);
        self.produce_all([record])
            .await?
            .pop()
            .ok_or(KafkaError::Canceled)
            .map_err(RigError::client(doing))
    }

    /// Produces records in order, many at a time; returns their partitions and offsets.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] for the first that is not delivered; later ones may be.
    pub async fn produce_all(
        &self,
        records: impl IntoIterator<Item = NewRecord>,
    ) -> Result<Vec<(i32, i64)>, RigError> {
        send_all(&self.producer, records).await
    }

    /// Produces records in one transaction and commits it; returns their partitions and
    /// offsets. The commit takes an offset of each partition too.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if a record is not delivered or no coordinator answers.
    pub async fn produce_committed(
        &self,
        records: impl IntoIterator<Item = NewRecord>,
    ) -> Result<Vec<(i32, i64)>, RigError> {
        self.produce_in_transaction(records, |producer| producer.commit_transaction(LIMIT))
            .await
    }

    /// Produces records in one transaction and aborts it: they lie in their partitions, and
    /// only who reads uncommitted sees them. Returns where.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if a record is not delivered or no coordinator answers.
    pub async fn produce_aborted(
        &self,
        records: impl IntoIterator<Item = NewRecord>,
    ) -> Result<Vec<(i32, i64)>, RigError> {
        self.produce_in_transaction(records, |producer| producer.abort_transaction(LIMIT))
            .await
    }

    async fn produce_in_transaction(
        &self,
        records: impl IntoIterator<Item = NewRecord>,
        end: impl FnOnce(&FutureProducer) -> Result<(), KafkaError> + Send + 'static,
    ) -> Result<Vec<(i32, i64)>, RigError> {
        let failed = || RigError::client("produce in a transaction");
        let producer: FutureProducer = self
            .config
            .clone()
            .set("transactional.id", unique_name("test-support"))
            .set("linger.ms", "0")
            .create()
            .map_err(failed())?;
        let begun = producer.clone();
        spawn_blocking(move || {
            begun.init_transactions(LIMIT)?;
            begun.begin_transaction()
        })
        .await?
        .map_err(failed())?;

        // All are delivered before it ends: what is aborted too early is never sent.
        let delivered = send_all(&producer, records).await?;
        spawn_blocking(move || end(&producer))
            .await?
            .map_err(failed())?;
        Ok(delivered)
    }

    /// Returns what a consumer group has committed, by partition: the offsets next to read.
    /// Partitions without a commit are left out.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if the topic does not exist or no coordinator answers.
    pub async fn committed_offsets(
        &self,
        group_id: &str,
        topic: &str,
    ) -> Result<BTreeMap<i32, i64>, RigError> {
        let doing = format!("read the committed offsets of {group_id} in {topic}");
        let mut config = self.config.clone();
        config.set("group.id", group_id);
        self.with_consumer(config, topic, doing, |consumer, partitions| {
            let committed = consumer.committed_offsets(partitions, LIMIT)?;
            Ok(committed
                .elements()
                .iter()
                .filter_map(|one| Some((one.partition(), one.offset().to_raw()?)))
                .filter(|(_, offset)| *offset >= 0)
                .collect())
        })
        .await
    }

    /// Returns the start offset of every partition: that of the first record that is left.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if the topic does not exist or a leader does not answer.
    pub async fn start_offsets(&self, topic: &str) -> Result<BTreeMap<i32, i64>, RigError> {
        let offsets = self.offsets(topic).await?;
        Ok(offsets
            .map(|(partition, start, _)| (partition, start))
            .collect())
    }

    /// Returns the end offset of every partition: that of the next record.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if the topic does not exist or a leader does not answer.
    pub async fn end_offsets(&self, topic: &str) -> Result<BTreeMap<i32, i64>, RigError> {
        let offsets = self.offsets(topic).await?;
        Ok(offsets
            .map(|(partition, _, end)| (partition, end))
            .collect())
    }

    /// Returns each partition with its start and its end offset.
    async fn offsets(
        &self,
        topic: &str,
    ) -> Result<impl Iterator<Item = (i32, i64, i64)> + use<>, RigError> {
        let doing = format!("read the offsets of {topic}");
        let all: Vec<_> = self
            .with_consumer(self.config.clone(), topic, doing, |consumer, partitions| {
                partitions
                    .elements()
                    .iter()
                    .map(|one| {
                        let (topic, partition) = (one.topic(), one.partition());
                        let (start, end) = consumer.fetch_watermarks(topic, partition, LIMIT)?;
                        Ok((partition, start, end))
                    })
                    .collect()
            })
            .await?;
        Ok(all.into_iter())
    }

    /// Reads all committed records that a topic has now, by partition and offset.
    ///
    /// # Errors
    ///
    /// [`RigError::Client`] if the topic does not exist or does not end within 30 s.
    pub async fn read_all(&self, topic: &str) -> Result<Vec<StoredRecord>, RigError> {
        let mut config = self.config.clone();
        config
            .set("group.id", "test-support-reads-without-a-group")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "10");
        let doing = format!("read {topic}");
        self.with_consumer(config, topic, doing, |consumer, mut partitions| {
            partitions.set_all_offsets(Offset::Beginning)?;
            let unread = partitions.count();
            consumer.assign(&partitions)?;
            let mut records = read_to_end(consumer, unread)?;
            records.sort_by_key(|record| (record.partition, record.offset));
            Ok(records)
        })
        .await
    }

    /// Runs `work` on a thread that may block, with a consumer and the topic's partitions.
    async fn with_consumer<T: Send + 'static>(
        &self,
        config: ClientConfig,
        topic: &str,
        doing: String,
        work: impl FnOnce(&BaseConsumer, TopicPartitionList) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, RigError> {
        let Some(found) = self.describe(topic).await? else {
            let missing = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic);
            return Err(RigError::client(doing)(missing));
        };
        let topic = topic.to_owned();
        spawn_blocking(move || {
            let mut partitions = TopicPartitionList::with_capacity(found.len());
            for one in &found {
                partitions.add_partition(&topic, one.partition);
            }
            let consumer: BaseConsumer = config.create()?;
            work(&consumer, partitions)
        })
        .await?
        .map_err(RigError::client(doing))
    }

    async fn wait_for_leaders(&self, topic: &str, partitions: i32) -> Result<(), RigError> {
        self.wait_for(topic, "its partitions have leaders", |found| {
            found.is_some_and(|all| {
                i32::try_from(all.len()) == Ok(partitions)
                    && all.iter().all(|one| one.leader.is_some())
            })
        })
        .await
    }

    async fn wait_for(
        &self,
        topic: &str,
        state: &str,
        is_so: impl Fn(Option<Vec<PartitionDescription>>) -> bool,
    ) -> Result<(), RigError> {
        let deadline = Instant::now() + LIMIT;
        while !is_so(self.describe(topic).await?) {
            if Instant::now() >= deadline {
                return Err(RigError::NotInTime {
                    waiting_for: format!("topic {topic}: {state}"),
                    waited: LIMIT,
                });
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics")
            .field("bootstrap_servers", &self.config.get("bootstrap.servers"))
            .finish_non_exhaustive()
    }
}

async fn send_all(
    producer: &FutureProducer,
    records: impl IntoIterator<Item = NewRecord>,
) -> Result<Vec<(i32, i64)>, RigError> {
    let mut delivered = Vec::new();
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let mut under_way = Vec::new();
        for record in records.by_ref().take(BATCH) {
            let doing = format!("produce to {}", record.topic);
            let delivery = producer
                .send_result(record.as_future_record())
                .map_err(|(error, _)| RigError::client(doing.as_str())(error))?;
            under_way.push((delivery, doing));
        }
        for (delivery, doing) in under_way {
            let result = delivery.await.map_err(|_| KafkaError::Canceled);
            let delivery = result
                .and_then(|delivery| delivery.map_err(|(error, _)| error))
                .map_err(RigError::client(doing))?;
            delivered.push((delivery.partition, delivery.offset));
        }
    }
    Ok(delivered)
}

fn admin_options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(LIMIT))
        .operation_timeout(Some(LIMIT))
}

fn accepted(results: Vec<TopicResult>, doing: &str) -> Result<(), RigError> {
    match results.into_iter().find_map(Result::err) {
        None => Ok(()),
        Some((_, code)) => Err(RigError::Refused {
            doing: doing.into(),
            code,
        }),
    }
}

fn describe_one(partition: &rdkafka::metadata::MetadataPartition) -> PartitionDescription {
    let sorted = |ids: &[i32]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    PartitionDescription {
        partition: partition.id(),
        leader: Some(partition.leader()).filter(|id| *id >= 0),
        replicas: sorted(partition.replicas()),
        in_sync: sorted(partition.isr()),
    }
}

/// Polls until each of the assigned partitions reported its end once. A position alone
/// would not tell: the last offsets may be transaction markers or compacted away.
fn read_to_end(
    consumer: &BaseConsumer,
    mut unread: usize,
) -> Result<Vec<StoredRecord>, KafkaError> {
    let deadline = std::time::Instant::now() + LIMIT;
    let mut records = Vec::new();
    while unread > 0 {
        if std::time::Instant::now() >= deadline {
            return Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::OperationTimedOut,
            ));
        }
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => records.push(StoredRecord::copy_of(&message)),
            Some(Err(KafkaError::PartitionEOF(_))) => unread -= 1,
            // A broker that is away comes back, or the deadline comes.
            None
            | Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
            ))) => {}
            Some(Err(error)) => return Err(error),
        }
    }
    Ok(records)
}
