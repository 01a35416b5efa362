//! What a start checks and says, and how a runtime is told what to do while it runs.

use std::time::{Duration, Instant};

use kafka_runtime::{
    GroupState, Handler, MissingTopics, Place, Problem, Raw, RecordMetadata, RunError, Runtime,
    State, topic_handler,
};
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, Topics, eventually, unique_name};

use crate::common::{LIMIT, Log, Running, attribute_handler, committed, config, create, start};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "startup::every_unknown_topic_is_told_at_once_with_its_place",
            unknown_topics,
        )
        .test(
            "startup::everything_static_is_told_at_once",
            static_problems,
        )
        .test(
            "startup::missing_topics_are_created_if_wanted",
            missing_topics_created,
        )
        .test(
            "startup::a_missing_topic_may_be_waited_for",
            missing_topic_appears,
        )
        .test(
            "startup::a_dead_letter_topic_that_cannot_be_is_a_problem",
            impossible_dead_letter_topic,
        )
        .test("startup::two_groups_live_in_one_process", two_groups)
        .test("startup::a_handler_may_be_off", a_handler_may_be_off)
        .test("startup::a_handler_may_have_several_topics", several_topics)
        .rig_test(
            "startup::a_pattern_takes_topics_that_come_later_and_parks_by_topic",
            pattern,
        )
        .test(
            "startup::control_pauses_and_resumes_a_topic",
            pause_and_resume,
        )
        .test("startup::control_tells_status_and_lag", status_and_lag)
        .test(
            "startup::a_runtime_may_be_stopped_before_it_runs",
            stopped_early,
        )
}

async fn nothing(_: Raw) {}

type At = (String, i64);

fn logging(topic: &str, log: &Log<At>) -> Handler {
    let seen = log.clone();
    Handler::new(topic, move |_: Raw, at: RecordMetadata| {
        seen.push((at.topic().to_owned(), at.offset()));
        std::future::ready(())
    })
}

async fn produce(topics: &Topics, topic: &str, count: usize) -> TestResult {
    topics
        .produce_all((0..count).map(|n| NewRecord::to(topic).value(n.to_string())))
        .await?;
    Ok(())
}

async fn unknown_topics(cluster: &KafkaCluster) -> TestResult {
    let (one, two) = (unique_name("missing"), unique_name("missing"));
    let line = line!() + 1;
    let handlers = [Handler::new(&one, nothing), Handler::new(&two, nothing)];

    let result = start(cluster, &unique_name("group"), handlers)?
        .ended()
        .await?;

    let Err(RunError::Start(error)) = result else {
        return Err(format!("{result:?}").into());
    };
    let expected = |topic: &str| Problem::UnknownTopic {
        place: Place {
            file: file!(),
            line,
        },
        handler: "nothing".into(),
        topic: topic.into(),
    };
    assert_eq!(error.problems, [expected(&one), expected(&two)]);
    let text = error.to_string();
    for part in [
        one,
        two,
        format!("{}:{line}", file!()),
        "KAFKA_MISSING_TOPICS".into(),
    ] {
        assert!(text.contains(&part), "{part} is not in {text}");
    }
    Ok(())
}

async fn static_problems(cluster: &KafkaCluster) -> TestResult {
    let built = Runtime::builder()
        .config(config(cluster, "g"))
        .handlers([
            Handler::new("twice", nothing),
            Handler::new("twice", nothing),
            Handler::new("no such name!", nothing),
            Handler::new("stateful", |_: Raw, _: State<u8>| async {}),
            Handler::new("${NOT_SET_ANYWHERE}", nothing),
            Handler::new("none at once", nothing).concurrency(0),
        ])
        .build();

    let problems = built.err().ok_or("it was built")?.problems;
    let text = problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    for part in [
        "\"twice\" has two handlers",
        "no such name!",
        "State<u8>",
        "NOT_SET_ANYWHERE",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(
        problems
            .iter()
            .any(|p| matches!(p, Problem::BadOption { .. })),
        "{text}"
    );
    assert_eq!(text.matches(file!()).count(), 7, "{text}"); // two places in one problem
    Ok(())
}

async fn missing_topics_created(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("made"), unique_name("group"));
    let create = MissingTopics::Create {
        partitions: 3,
        replication: 1,
    };

    let running = Running::start(
        Runtime::builder()
            .config(config(cluster, &group).missing_topics(create))
            .handlers([Handler::new(&topic, nothing)]),
    )?;
    running.is_assigned(3).await?;
    running.stop().await?;

    let topics = Topics::new(cluster.bootstrap_servers())?;
    for topic in [topic.clone(), format!("{group}.{topic}.dlq")] {
        let found = topics.describe(&topic).await?;
        assert_eq!(found.map(|partitions| partitions.len()), Some(3), "{topic}");
    }
    Ok(())
}

async fn missing_topic_appears(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("later"), unique_name("group"));
    let log = Log::default();
    let config = config(cluster, &group)
        .missing_topics(MissingTopics::Wait)
        .property("topic.metadata.refresh.interval.ms", "500");
    let running = Running::start(
        Runtime::builder()
            .config(config)
            .handlers([logging(&topic, &log)]),
    )?;
    eventually(LIMIT, async || !running.control.status().is_empty()).await?;

    let topics = create(cluster, &topic, 1).await?;
    produce(&topics, &topic, 1).await?;

    assert_eq!(log.reaches(1).await?, [(topic, 0)]);
    running.stop().await
}

async fn impossible_dead_letter_topic(cluster: &KafkaCluster) -> TestResult {
    // 249 characters are the most; the group in front of it makes it longer.
    let topic = unique_name(&"x".repeat(220));
    create(cluster, &topic, 1).await?;

    let group = unique_name("group");
    let result = start(cluster, &group, [Handler::new(&topic, nothing)]);
    let problems = match result {
        Err(error) => error.problems,
        Ok(running) => match running.ended().await? {
            Err(RunError::Start(error)) => error.problems,
            other => return Err(format!("{other:?}").into()),
        },
    };

    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .to_string()
            .contains(&format!("{group}.{topic}.dlq")),
        "{problems:?}"
    );
    Ok(())
}

async fn two_groups(cluster: &KafkaCluster) -> TestResult {
    let topic = unique_name("shared");
    let groups = [unique_name("one"), unique_name("two")];
    let topics = create(cluster, &topic, 2).await?;
    produce(&topics, &topic, 20).await?;
    let logs = [Log::default(), Log::default()];

    let handlers = [0, 1].map(|n| logging(&topic, &logs[n]).group(&groups[n]));
    let running = start(cluster, "unused", handlers)?;

    for log in &logs {
        log.reaches(20).await?;
    }
    let mut found: Vec<_> = running
        .control
        .status()
        .into_iter()
        .map(|g| g.group_id)
        .collect();
    found.sort();
    assert_eq!(found, groups);
    running.stop().await?;
    for group in &groups {
        let offsets = topics.committed_offsets(group, &topic).await?;
        assert_eq!(offsets.values().sum::<i64>(), 20, "{group}");
    }
    Ok(())
}

async fn a_handler_may_be_off(cluster: &KafkaCluster) -> TestResult {
    let (on, off, group) = (unique_name("on"), unique_name("off"), unique_name("group"));
    let topics = create(cluster, &on, 1).await?;
    produce(&topics, &on, 1).await?;
    let log = Log::default();

    // The other topic does not even exist.
    let off = || Handler::new(&off, nothing).enabled_if("NOT_SET_ANYWHERE");
    let running = start(cluster, &group, [logging(&on, &log), off()])?;
    log.reaches(1).await?;
    assert_eq!(running.control.status()[0].topics, [on]);
    running.stop().await?;

    let built = Runtime::builder()
        .config(config(cluster, &group))
        .handlers([off()])
        .build();
    let problems = built.err().ok_or("it was built")?.problems;
    assert!(
        matches!(&problems[..], [Problem::AllDisabled { .. }]),
        "{problems:?}"
    );
    Ok(())
}

async fn several_topics(cluster: &KafkaCluster) -> TestResult {
    let (one, two, group) = (unique_name("one"), unique_name("two"), unique_name("group"));
    let topics = create(cluster, &one, 1).await?;
    topics.create(&two, 1).await?;
    for topic in [&one, &two] {
        produce(&topics, topic, 1).await?;
    }
    let log = Log::default();

    let running = start(cluster, &group, [logging(&one, &log).topic(&two)])?;

    let mut entries = log.reaches(2).await?;
    entries.sort();
    assert_eq!(entries, [(one, 0), (two, 0)]);
    running.stop().await
}

#[topic_handler(
    pattern = r"^it\.pattern\..*$",
    group = "it-pattern",
    retry(attempts = 1)
)]
async fn on_pattern(_: Raw, at: RecordMetadata, seen: State<Log<At>>) -> Result<(), &'static str> {
    seen.push((at.topic().to_owned(), at.offset()));
    Err("parked")
}

async fn pattern(cluster: &KafkaCluster) -> TestResult {
    let names = ["it.pattern.a", "it.pattern.b", "it.pattern.later"];
    let [a, b, later] = names;
    let topics = create(cluster, a, 2).await?;
    topics.create(b, 1).await?;
    for topic in [a, b] {
        produce(&topics, topic, 1).await?;
    }
    let log = Log::<At>::default();

    let config = config(cluster, "unused")
        .property("topic.metadata.refresh.interval.ms", "500")
        // For so long librdkafka believes that a missing topic is on its way; 30 s by default.
        .property("topic.metadata.propagation.max.ms", "500");
    let running = Running::start(
        Runtime::builder()
            .config(config)
            .state(log.clone())
            .handlers([attribute_handler("on_pattern")?]),
    )?;
    log.reaches(2).await?;
    topics.create(later, 3).await?;
    produce(&topics, later, 1).await?;
    let mut entries = log.reaches(3).await?;
    entries.sort();
    assert_eq!(entries, names.map(|name| (name.to_owned(), 0)));

    for (topic, partitions) in names.iter().zip([2, 1, 3]) {
        let dead_letters = format!("it-pattern.{topic}.dlq");
        eventually(LIMIT, async || {
            topics
                .read_all(&dead_letters)
                .await
                .is_ok_and(|letters| letters.len() == 1)
        })
        .await?;
        let found = topics.describe(&dead_letters).await?;
        assert_eq!(found.map(|found| found.len()), Some(partitions));
    }
    // The dead letters are not taken for a source.
    running.stop().await?;
    assert_eq!(log.len(), 3);
    Ok(())
}

async fn pause_and_resume(cluster: &KafkaCluster) -> TestResult {
    let (paused, other, group) = (
        unique_name("paused"),
        unique_name("other"),
        unique_name("group"),
    );
    let topics = create(cluster, &paused, 1).await?;
    topics.create(&other, 1).await?;
    let log = Log::default();
    let handlers = [logging(&paused, &log), logging(&other, &log)];
    let running = start(cluster, &group, handlers)?;
    running.is_assigned(2).await?;

    running.control.pause(&paused);
    let is_paused = || {
        let groups = running.control.status();
        let found = groups[0]
            .partitions
            .iter()
            .find(|p| *p.partition.topic == *paused);
        found.is_some_and(|p| p.is_paused)
    };
    eventually(LIMIT, async || is_paused()).await?;
    produce(&topics, &paused, 1).await?;
    produce(&topics, &other, 5).await?;
    log.reaches(5).await?;
    committed(&topics, &group, &other, &[5]).await?;
    assert!(log.all().iter().all(|(topic, _)| *topic == other));

    running.control.resume(&paused);
    assert_eq!(log.reaches(6).await?[5], (paused.clone(), 0));
    assert!(!is_paused());
    running.stop().await
}

async fn status_and_lag(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("lag"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let log = Log::default();
    let running = start(cluster, &group, [logging(&topic, &log)])?;
    running.is_assigned(1).await?;

    let status = running.control.status().remove(0);
    assert_eq!(
        (status.group_id.as_str(), status.state),
        (group.as_str(), GroupState::Running)
    );
    assert_eq!(status.topics, [topic.as_str()]);
    assert_eq!((status.in_flight(), status.last_error), (0, None));

    running.control.pause(&topic);
    eventually(LIMIT, async || {
        running.control.status()[0].partitions[0].is_paused
    })
    .await?;
    produce(&topics, &topic, 7).await?;
    let lag: Vec<_> = running
        .control
        .lag()
        .await?
        .into_iter()
        .map(|(_, lag)| lag)
        .collect();
    assert_eq!(lag, [7]);

    running.control.resume(&topic);
    log.reaches(7).await?;
    eventually(LIMIT, async || {
        running
            .control
            .lag()
            .await
            .is_ok_and(|lag| lag.iter().all(|(_, lag)| *lag == 0))
    })
    .await?;
    let control = running.control.clone();
    running.stop().await?;
    assert_eq!(control.status()[0].state, GroupState::Stopped);
    Ok(())
}

async fn stopped_early(cluster: &KafkaCluster) -> TestResult {
    let topic = unique_name("early");
    create(cluster, &topic, 1).await?;
    let runtime = Runtime::builder()
        .config(config(cluster, &unique_name("group")))
        .handlers([Handler::new(&topic, nothing)])
        .build()?;

    runtime.control().shutdown();
    let begun = Instant::now();
    runtime.run_until(std::future::pending()).await?;

    assert!(begun.elapsed() < Duration::from_secs(2));
    Ok(())
}
