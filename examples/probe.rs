use kafka_runtime::*;
use std::time::Duration;
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .init();
    let broker;
    let config = if std::env::var("KAFKA_BOOTSTRAP_SERVERS").is_ok() {
        Config::from_env()?
            .missing_topics(MissingTopics::Create {
                partitions: 4,
                replication: 1,
            })
            .group_id("demo")
    } else {
        broker = EmbeddedBroker::start()?;
        broker.create_topic("users", 4)?;
        broker.config().group_id("demo")
    };
    let handler = Handler::new(
        "users",
        |v: serde_json::Value, Key(k): Key<String>, m: RecordMetadata| async move {
            if v["n"] == 7 {
                return Err(anyhow::anyhow!("seven"));
            }
            if v["n"] == 9 {
                return Err(PermanentError::new("nine").into());
            }
            if v["n"].as_u64().unwrap() % 50 == 0 {
                println!(
                    "{k} {v} {}@{} attempt {}",
                    m.partition(),
                    m.offset(),
                    m.attempt()
                );
            }
            Ok(())
        },
    )
    .retry(Retry {
        attempts: 3,
        ..Retry::DEFAULT
    });
    let manager = KafkaManager::from_config(config.clone());
    let runtime = Runtime::builder()
        .config(config)
        .handlers([handler])
        .build()?;
    let control = runtime.control();
    let p = manager.create_producer("main", ProducerOptions::default())?;
    let t = std::time::Instant::now();
    let run = tokio::spawn(runtime.run());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let payloads = (0..300)
        .map(|n| MessagePayload::new(format!("{{\"n\":{n}}}")).key(format!("k{}", n % 10)))
        .collect();
    let r = p.send("users", payloads).await?;
    println!("produced {} in {:?}", r.len(), t.elapsed());
    tokio::time::sleep(Duration::from_secs(6)).await;
    println!("{:?}", control.lag().await);
    println!("{control:#?}");
    control.shutdown();
    let t = std::time::Instant::now();
    println!("{:?}", run.await?);
    println!("stopped in {:?}", t.elapsed());
    Ok(())
}
