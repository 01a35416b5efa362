//! Whatever a producer sends: it goes to the failure policy as it was, and nothing else suffers.

use std::io::{Read, Write};
use std::net::TcpStream;

use kafka_runtime::{DEAD_LETTER_HEADER_PREFIX, Handler, Headers, Raw, Runtime};
use test_support::{KafkaCluster, NewRecord, Suite, TestResult, eventually, unique_name};

use crate::common::{Events, LIMIT, Log, Running, committed, config, create, start};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "bad_input::what_cannot_be_decoded_is_parked_as_it_was",
            parked_as_it_was,
        )
        .test(
            "bad_input::a_header_value_that_is_not_utf8_is_delivered",
            header_value,
        )
        .test(
            "bad_input::a_header_name_that_is_not_utf8_is_reported",
            header_name,
        )
}

const MAX_PAYLOAD: usize = 300_000;

async fn parked_as_it_was(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("bad"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let bad: [Option<Vec<u8>>; 9] = [
        Some(b"{not json".to_vec()),
        Some(b"{\"a\":1} trailing".to_vec()),
        Some(vec![b'"', 0xff, 0xfe, b'"']),
        Some(Vec::new()),
        None,
        Some(b"null".to_vec()),
        Some(b"[1,2,3]".to_vec()),
        Some(vec![b'['; 100_000]),
        Some(format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_PAYLOAD)).into_bytes()),
    ];
    for value in &bad {
        let record = NewRecord::to(&topic).key([0xff]).header("h", [0xfe]);
        topics
            .produce(match value {
                Some(value) => record.value(value.clone()),
                None => record,
            })
            .await?;
    }
    topics
        .produce(NewRecord::to(&topic).key([0xff]).value("{\"a\":[]}"))
        .await?;
    let log = Log::<usize>::default();

    let seen = log.clone();
    let handler = Handler::new(
        &topic,
        move |map: serde_json::Map<String, serde_json::Value>| {
            seen.push(map.len());
            std::future::ready(())
        },
    )
    .max_payload(MAX_PAYLOAD);
    let events = Events::default();
    let builder = Runtime::builder()
        .config(config(cluster, &group))
        .handlers([handler])
        .observer(events.clone());
    let running = Running::start(builder)?;
    committed(&topics, &group, &topic, &[10]).await?;
    running.stop().await?;

    // The last one only; none of the others was retried.
    assert_eq!(log.all(), [1]);
    assert_eq!(events.with("Retrying"), Vec::<String>::new());
    let letters = topics.read_all(&format!("{group}.{topic}.dlq")).await?;
    assert_eq!(letters.len(), bad.len());
    let ours = |name: &str| format!("{DEAD_LETTER_HEADER_PREFIX}{name}");
    for (letter, value) in letters.iter().zip(&bad) {
        assert!(
            letter.value == *value,
            "{:?}",
            value.as_deref().map(|v| &v[..v.len().min(20)])
        );
        assert_eq!(letter.key, Some(vec![0xff]));
        assert_eq!(letter.headers[0], ("h".into(), Some(vec![0xfe])));
        assert_eq!(
            letter.header_text(&ours("class")).as_deref(),
            Some("decode")
        );
        assert_eq!(letter.header_text(&ours("attempts")).as_deref(), Some("1"));
    }
    Ok(())
}

async fn header_value(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("header-value"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    topics
        .produce(NewRecord::to(&topic).header("h", [0xff, 0xfe]))
        .await?;
    let log = Log::<Option<Vec<u8>>>::default();

    let seen = log.clone();
    let handler = Handler::new(&topic, move |_: Raw, headers: Headers| {
        seen.push(headers.get("h").map(<[u8]>::to_vec));
        std::future::ready(())
    });
    let running = start(cluster, &group, [handler])?;

    assert_eq!(log.reaches(1).await?, [Some(vec![0xff, 0xfe])]);
    running.stop().await
}

async fn header_name(cluster: &KafkaCluster) -> TestResult {
    let (topic, group) = (unique_name("header-name"), unique_name("group"));
    let topics = create(cluster, &topic, 1).await?;
    let headers: [(&[u8], &[u8]); 3] = [(b"before", b"1"), (&[0xff, 0xfe], b"2"), (b"after", b"3")];
    produce_raw(cluster.bootstrap_servers(), &topic, b"the value", &headers)?;
    let (log, events) = (Log::<String>::default(), Events::default());

    let seen = log.clone();
    let handler = Handler::new(&topic, move |value: Raw, headers: Headers| {
        let value = String::from_utf8_lossy(value.bytes().unwrap_or_default()).into_owned();
        let (before, after) = (headers.get("before"), headers.get("after"));
        seen.push(format!("{value} {before:?} {after:?}"));
        std::future::ready(())
    });
    let builder = Runtime::builder()
        .config(config(cluster, &group))
        .handlers([handler])
        .observer(events.clone());
    let running = Running::start(builder)?;

    assert_eq!(log.reaches(1).await?, ["the value Some([49]) Some([51])"]);
    eventually(LIMIT, async || !events.with("HeadersUnreadable").is_empty()).await?;
    let reported = events.with("HeadersUnreadable");
    assert!(reported[0].contains("count: 1"), "{reported:?}");
    committed(&topics, &group, &topic, &[1]).await?;
    running.stop().await
}

/// Sends a Produce request (version 3) with one record to partition 0, as no safe client would: header names are bytes.
fn produce_raw(server: &str, topic: &str, value: &[u8], headers: &[(&[u8], &[u8])]) -> TestResult {
    let mut record = vec![0, 0, 0, 1]; // attributes, timestamp delta, offset delta, key length -1
    varint(&mut record, value.len());
    record.extend(value);
    varint(&mut record, headers.len());
    for (name, value) in headers {
        for part in [name, value] {
            varint(&mut record, part.len());
            record.extend(*part);
        }
    }
    let mut checked = Vec::new(); // from the attributes on: what the checksum covers
    checked.extend(0_i16.to_be_bytes());
    checked.extend(0_i32.to_be_bytes()); // last offset delta
    checked.extend(1_700_000_000_000_i64.to_be_bytes());
    checked.extend(1_700_000_000_000_i64.to_be_bytes());
    checked.extend((-1_i64).to_be_bytes()); // producer id
    checked.extend((-1_i16).to_be_bytes());
    checked.extend((-1_i32).to_be_bytes());
    checked.extend(1_i32.to_be_bytes()); // one record
    varint(&mut checked, record.len());
    checked.extend(&record);
    let mut batch = 0_i64.to_be_bytes().to_vec(); // base offset
    batch.extend(i32::try_from(4 + 1 + 4 + checked.len())?.to_be_bytes());
    batch.extend((-1_i32).to_be_bytes()); // leader epoch
    batch.push(2); // magic
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(&checked);

    let mut request = Vec::new();
    request.extend(0_i16.to_be_bytes()); // Produce
    request.extend(3_i16.to_be_bytes());
    request.extend(7_i32.to_be_bytes()); // correlation id
    string(&mut request, "raw")?;
    request.extend((-1_i16).to_be_bytes()); // no transaction
    request.extend((-1_i16).to_be_bytes()); // acks = all
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes()); // one topic
    string(&mut request, topic)?;
    request.extend(1_i32.to_be_bytes()); // one partition
    request.extend(0_i32.to_be_bytes());
    request.extend(i32::try_from(batch.len())?.to_be_bytes());
    request.extend(&batch);

    let mut connection = TcpStream::connect(server)?;
    connection.write_all(&i32::try_from(request.len())?.to_be_bytes())?;
    connection.write_all(&request)?;
    // Correlation id, one topic, its name, one partition, its number, then the error code.
    let mut response = vec![0; 4 + 4 + 4 + 2 + topic.len() + 4 + 4 + 2];
    connection.read_exact(&mut response)?;
    match &response[response.len() - 2..] {
        [0, 0] => Ok(()),
        code => Err(format!("the broker says {code:?}").into()),
    }
}

/// Appends a zigzag varint.
fn varint(to: &mut Vec<u8>, number: usize) {
    let mut left = number << 1;
    while left >= 0x80 {
        to.push(u8::try_from(left & 0x7f).unwrap_or_default() | 0x80);
        left >>= 7;
    }
    to.push(u8::try_from(left).unwrap_or_default());
}

fn string(to: &mut Vec<u8>, text: &str) -> TestResult {
    to.extend(i16::try_from(text.len())?.to_be_bytes());
    to.extend(text.as_bytes());
    Ok(())
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}
