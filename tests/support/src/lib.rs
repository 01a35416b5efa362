//! A real Apache Kafka for tests, without containers.
//!
//! The jars come from Maven Central once and stay in a cache; the brokers are plain Java
//! processes on 127.0.0.1 that end with the test that started them, however it ends.
//!
//! ```no_run
//! use test_support::{KafkaCluster, NewRecord, TestResult, Topics};
//!
//! # async fn example() -> TestResult {
//! let cluster = KafkaCluster::builder().start()?;
//! let topics = Topics::new(cluster.bootstrap_servers())?;
//!
//! topics.create("orders", 2).await?;
//! topics.produce(NewRecord::to("orders").key("7").value("hello")).await?;
//!
//! assert_eq!(topics.read_all("orders").await?.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! | file | has |
//! |---|---|
//! | `trial` | [`Suite`]: a test binary whose tests share one cluster and are *ignored*, with the reason, where Kafka cannot run |
//! | `cluster`, `node` | [`KafkaCluster`], [`Node`]: start, kill, suspend, start again |
//! | `postgres`, `database` | [`Postgres`], [`Database`]: a PostgreSQL of the test's own, and SQL in it |
//! | `connect`, `rest` | [`Connect`]: a worker of Kafka Connect with Debezium's connector |
//! | `connector` | [`PostgresConnector`]: the configuration of that connector |
//! | `pipeline` | [`Pipeline`]: PostgreSQL, Connect and Kafka together |
//! | `proxy` | [`Proxy`]: delays, cuts, resets, holds and spoils what a node and its clients send each other |
//! | `acl` | [`KafkaCluster::deny_write`]: a topic that nobody may write to |
//! | `membership` | [`KafkaCluster::expel`]: a group whose members are none any more |
//! | `wire` | the requests of these two |
//! | `topics`, `record` | [`Topics`]: what a test asks of or puts into a cluster |
//! | `waiting` | [`eventually`] and [`unique_name`] |
//! | `process` | [`WatchedProcess`]: a child that cannot outlive the test |
//! | `jars`, `java`, `port`, `properties`, `tls` | how a broker comes to run |

mod acl;
mod cluster;
mod connect;
mod connector;
mod database;
mod error;
mod jars;
mod java;
mod membership;
mod node;
mod pipeline;
mod port;
mod postgres;
mod process;
mod properties;
mod proxy;
mod record;
mod rest;
mod tls;
mod topics;
mod trial;
mod waiting;
mod wire;

pub use cluster::{ClusterBuilder, KafkaCluster};
pub use connect::{Connect, ConnectBuilder};
pub use connector::{Binary, Decimals, Deletes, PostgresConnector, Times};
pub use database::{Database, Session};
pub use error::RigError;
pub use jars::{DEBEZIUM_VERSION, DEFAULT_VERSION};
pub use node::Node;
pub use pipeline::{Pipeline, PipelineBuilder};
pub use postgres::Postgres;
pub use process::WatchedProcess;
pub use proxy::{ApiKey, Both, Counters, Direction, Proxy};
pub use record::{NewRecord, StoredRecord};
pub use tls::{PASSWORD, Tls, USER};
pub use topics::{PartitionDescription, Topics};
pub use trial::{Rig, Suite, TestResult};
pub use waiting::{NotInTime, eventually, unique_name};
