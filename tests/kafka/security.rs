//! TLS and passwords: the right ones connect, the wrong ones are told at once, and no secret is told at all.

use std::path::Path;
use std::time::{Duration, Instant};

use kafka_runtime::{
    ClientError, Config, ConnectError, ConnectRetry, ConsumerOptions, Handler, KafkaManager,
    Problem, ProducerOptions, Raw, RunError, Runtime, SaslMechanism,
};
use test_support::{
    KafkaCluster, NewRecord, PASSWORD, Suite, TestResult, Tls, Topics, USER, unique_name,
};

use crate::common::{BoxError, Log, Running, create};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .rig_test(
            "security::the_right_password_handles_records",
            right_password,
        )
        .rig_test("security::a_wrong_password_is_told_at_once", wrong_password)
        .rig_test("security::an_unknown_ca_is_told_at_once", unknown_ca)
        .rig_test("security::a_wrong_host_name_is_told_at_once", wrong_host)
        .rig_test(
            "security::plain_text_to_a_tls_port_is_told",
            plain_text_to_tls,
        )
        .rig_test(
            "security::tls_to_a_plain_text_port_is_told",
            tls_to_plain_text,
        )
        .rig_test(
            "security::a_topic_without_permission_is_told",
            not_permitted,
        )
}

fn ssl(servers: &str, ca: &Path) -> Config {
    Config::new()
        .bootstrap_servers(servers)
        .ssl(true)
        .ssl_ca_location(ca.display().to_string())
        .group_id(unique_name("group"))
}

fn sasl(tls: &Tls, mechanism: SaslMechanism, password: &str) -> Config {
    ssl(tls.sasl_ssl_bootstrap(), tls.ca_pem_path())
        .sasl_mechanism(mechanism)
        .sasl_username(USER)
        .sasl_password(password)
}

async fn right_password(cluster: &KafkaCluster) -> TestResult {
    for mechanism in [SaslMechanism::ScramSha512, SaslMechanism::Plain] {
        let topic = unique_name("secure");
        let topics = create(cluster, &topic, 1).await?;
        topics.produce(NewRecord::to(&topic).value("x")).await?;
        let log = Log::<usize>::default();
        let seen = log.clone();
        let handler = Handler::new(&topic, move |raw: Raw| {
            seen.push(raw.bytes().unwrap_or_default().len());
            std::future::ready(())
        });

        let config = sasl(cluster.tls()?, mechanism, PASSWORD);
        assert!(!format!("{config:?}").contains(PASSWORD));
        let running = Running::start(Runtime::builder().config(config).handlers([handler]))?;

        assert_eq!(log.reaches(1).await?, [1]);
        running.stop().await?;
    }
    Ok(())
}

/// Tries all three ways to connect; returns the reasons, which must come within 3 s each.
async fn refusals(config: Config) -> Result<Vec<ClientError>, BoxError> {
    let mut reasons = Vec::new();
    let mut take = |begun: Instant, error: ConnectError| {
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}: {error}",
            begun.elapsed()
        );
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("not-the-password") && !text.contains(PASSWORD),
            "{text}"
        );
        match error {
            ConnectError::Refused { source, .. } => reasons.push(source),
            other => return Err(BoxError::from(other)),
        }
        Ok(())
    };

    let begun = Instant::now();
    let handler = Handler::new("t", |_: Raw| async {});
    let runtime = Runtime::builder()
        .config(config.clone())
        .handlers([handler]);
    match Running::start(runtime)?.ended().await? {
        Err(RunError::Connect(error)) => take(begun, error)?,
        other => return Err(format!("{other:?}").into()),
    }
    let manager = KafkaManager::from_config(config);
    let group = ConsumerOptions {
        group_id: "g".into(),
        ..Default::default()
    };
    let begun = Instant::now();
    let connected = manager.create_consumer("c", group)?.connect().await;
    take(begun, connected.err().ok_or("connected")?)?;
    let begun = Instant::now();
    let connected = manager
        .create_producer("p", ProducerOptions::default())?
        .connect()
        .await;
    take(begun, connected.err().ok_or("connected")?)?;
    let debug = format!("{manager:?}");
    assert!(!debug.contains("not-the-password"), "{debug}");
    Ok(reasons)
}

async fn wrong_password(cluster: &KafkaCluster) -> TestResult {
    for mechanism in [SaslMechanism::ScramSha512, SaslMechanism::Plain] {
        let reasons = refusals(sasl(cluster.tls()?, mechanism, "not-the-password")).await?;
        let is_told = |reason: &ClientError| matches!(reason, ClientError::Authentication(_));
        assert!(reasons.iter().all(is_told), "{reasons:?}");
    }
    Ok(())
}

fn all_are_tls(reasons: &[ClientError], text: &str) {
    let is_told =
        |reason: &ClientError| matches!(reason, ClientError::Tls(why) if why.contains(text));
    assert!(reasons.iter().all(is_told), "{reasons:?}");
}

async fn unknown_ca(cluster: &KafkaCluster) -> TestResult {
    let tls = cluster.tls()?;
    let reasons = refusals(ssl(tls.ssl_bootstrap(), tls.other_ca_pem_path())).await?;
    all_are_tls(&reasons, "certificate verify failed");
    Ok(())
}

async fn wrong_host(cluster: &KafkaCluster) -> TestResult {
    let tls = cluster.tls()?;
    let reasons = refusals(ssl(tls.wrong_host_bootstrap(), tls.ca_pem_path())).await?;
    all_are_tls(&reasons, "certificate verify failed");
    Ok(())
}

/// A proxy whose broker is away hangs up just so: it is tried again, and the reason names what else it may be.
async fn gives_up_because(config: Config, reason: &str) -> TestResult {
    let once = ConnectRetry {
        initial_retry_time: Duration::from_millis(50),
        retries: 1,
    };
    let config = config
        .connect_retry(once)
        .request_timeout(Duration::from_secs(1));
    let manager = KafkaManager::from_config(config);
    let group = ConsumerOptions {
        group_id: "g".into(),
        ..Default::default()
    };
    let begun = Instant::now();
    let consumer = manager.create_consumer("c", group)?.connect().await;
    let producer = manager
        .create_producer("p", ProducerOptions::default())?
        .connect()
        .await;
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    for connected in [consumer, producer] {
        let error = connected.err().ok_or("connected")?;
        assert!(error.to_string().contains(reason), "{error}");
    }
    Ok(())
}

async fn plain_text_to_tls(cluster: &KafkaCluster) -> TestResult {
    let config = Config::new()
        .bootstrap_servers(cluster.tls()?.ssl_bootstrap())
        .ssl(false);
    gives_up_because(config, "is KAFKA_SSL what this port expects?").await
}

async fn tls_to_plain_text(cluster: &KafkaCluster) -> TestResult {
    let config = ssl(cluster.bootstrap_servers(), cluster.tls()?.ca_pem_path());
    gives_up_because(config, "SSL").await
}

async fn not_permitted(_: &KafkaCluster) -> TestResult {
    // Plain text is the administrator, alice is nobody.
    let builder = KafkaCluster::builder()
        .tls(true)
        .property(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        .property("super.users", "User:ANONYMOUS");
    let cluster = tokio::task::spawn_blocking(|| builder.start()).await??;
    let topics = Topics::new(cluster.bootstrap_servers())?;
    for topic in ["forbidden.one", "forbidden.two"] {
        topics.create(topic, 1).await?;
    }

    let handlers = ["forbidden.one", "forbidden.two"].map(|t| Handler::new(t, |_: Raw| async {}));
    let config = sasl(cluster.tls()?, SaslMechanism::ScramSha512, PASSWORD);
    let begun = Instant::now();
    let result = Running::start(Runtime::builder().config(config).handlers(handlers))?
        .ended()
        .await?;

    let Err(RunError::Start(error)) = result else {
        return Err(format!("{result:?}").into());
    };
    assert_eq!(error.problems.len(), 2, "{error}");
    for problem in &error.problems {
        let is_told = matches!(
            problem,
            Problem::Topic {
                source: ClientError::Authorization(_),
                ..
            }
        );
        assert!(is_told, "{problem:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}
