//! Runs every example as a user does, and holds it to its head comment: each line of output promised there must come.
//!
//! In a head comment, the blocks fenced as `text` are output and those fenced as `sh` are commands; `…` in a line stands
//! for anything. None needs a cluster: the examples start an embedded broker, `hello` is given the address of one.
//! Whatever `KAFKA_*` is set here is kept from them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kafka_runtime::{EmbeddedBroker, KafkaManager, MessagePayload, ProducerOptions};

// Its own tests are run too. `test = true` for the example would do so, but then its program would not be built.
#[path = "../examples/unit_test.rs"]
#[expect(dead_code, reason = "its main function")]
mod unit_test;

#[path = "../examples/test_kit.rs"]
#[expect(dead_code, reason = "its main function")]
mod test_kit;

/// The slowest takes 4 s on an idle machine.
const TIME_LIMIT: Duration = Duration::from_mins(1);

macro_rules! keeps_its_promises {
    ($($example:ident),* $(,)?) => {
        $(
            #[test]
            fn $example() -> Result<()> {
                let output = run(stringify!($example), &[])?;
                output.has_all_of(&promised(stringify!($example))?)
            }
        )*

        const SELF_CONTAINED: &[&str] = &[$(stringify!($example)),*];
    };
}

keeps_its_promises!(
    quickstart, state, groups, builder, manager, errors, produce, unit_test, test_kit, extractors,
    observe, redrive, batch, cdc,
);

#[test]
fn conditional() -> Result<()> {
    let mut output = run("conditional", &[])?;
    let analytics = [
        ("ENABLE_ANALYTICS", "yes"),
        ("ORDERS_TOPIC", "demo.orders.v2"),
    ];
    let with_analytics = run("conditional", &analytics)?;

    assert!(!output.0.contains("analytics: order 1"));
    output.0.push_str(&with_analytics.0);
    output.has_all_of(&promised("conditional")?)
}

#[test]
fn hello() -> Result<()> {
    let broker = EmbeddedBroker::start()?;
    let producer = KafkaManager::from_config(broker.config())
        .create_producer("test", ProducerOptions::default())?;
    let ada = r#"{"op":"c","after":{"id":1,"email":"ada@example.com"}}"#;
    let sent = producer.send("auth.public.users", vec![MessagePayload::new(ada).key("1")]);
    tokio::runtime::Runtime::new()?.block_on(sent)?;

    let mut hello = Example::start(
        "hello",
        &[
            ("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers()),
            ("KAFKA_GROUP_ID", "hello"),
            ("KAFKA_GROUP_PROTOCOL", "consumer"), // joins at once
            ("KAFKA_MISSING_TOPICS", "auto"), // the embedded broker cannot be asked to create one
        ],
    )?;
    hello.wait_for_line("hello ada@example.com")?;
    hello.terminate()?;
    let (status, output) = hello.end()?;

    assert!(status.success(), "{status} after SIGTERM: {output:?}");
    output.has_all_of(&promised("hello")?)
}

#[test]
fn the_index_names_every_example_and_its_command() -> Result<()> {
    let index = std::fs::read_to_string(examples().join("README.md"))?;
    let mut tested: BTreeSet<_> = SELF_CONTAINED.iter().map(ToString::to_string).collect();
    tested.extend(["conditional".to_owned(), "hello".to_owned()]);

    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(examples())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .file_stem()
                .context("a file has a name")?
                .to_string_lossy();
            let row = index
                .lines()
                .find(|line| line.contains(&format!("[`{name}`]({name}.rs)")));
            let row = row.with_context(|| format!("{name} is not in examples/README.md"))?;
            let (commands, _) = head(&name)?;
            let command = commands
                .first()
                .with_context(|| format!("{name} has no command"))?;
            ensure!(
                row.contains(&format!("`{command}`")),
                "examples/README.md has not: {command}"
            );
            found.insert(name.into_owned());
        }
    }

    assert_eq!(found, tested);
    Ok(())
}

/// Standard output and error, without colours.
#[derive(Debug)]
struct Output(String);

impl Output {
    fn has_all_of(&self, promised: &[String]) -> Result<()> {
        ensure!(!promised.is_empty(), "the head comment promises nothing");
        for line in promised {
            ensure!(
                self.0.lines().any(|printed| matches(line, printed)),
                "promised and not printed: {line}\n{}",
                self.0
            );
        }
        Ok(())
    }
}

/// Compares a printed line to one in which `…` stands for anything.
fn matches(promised: &str, printed: &str) -> bool {
    let Some((first, promised)) = promised.split_once('…') else {
        return promised == printed;
    };
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = promised.rsplit_once('…').unwrap_or(("", promised));
    for part in middle.split('…') {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Returns the commands and the lines of output in an example's head comment.
fn head(example: &str) -> Result<(Vec<String>, Vec<String>)> {
    let source = std::fs::read_to_string(examples().join(format!("{example}.rs")))?;
    let (mut commands, mut output) = (Vec::new(), Vec::new());
    let mut fence = None;
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        match (line.strip_prefix("```"), fence) {
            (Some(kind), None) => fence = Some(kind),
            (Some(_), Some(_)) => fence = None,
            (None, Some("sh")) => commands.push(line.to_owned()),
            (None, Some("text")) if !line.is_empty() => output.push(line.to_owned()),
            _ => {}
        }
    }
    Ok((commands, output))
}

fn promised(example: &str) -> Result<Vec<String>> {
    head(example).map(|(_, output)| output)
}

/// Runs an example to its end, which must be a good one.
fn run(example: &str, variables: &[(&str, &str)]) -> Result<Output> {
    let (status, output) = Example::start(example, variables)?.end()?;
    ensure!(status.success(), "{example}: {status}\n{}", output.0);
    Ok(output)
}

/// An example that runs; killed if the test ends before it.
struct Example {
    name: String,
    process: Child,
    lines: Receiver<String>,
    printed: String,
    readers: Vec<JoinHandle<()>>,
    deadline: Instant,
}

impl Example {
    fn start(name: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(binary(name)?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KAFKA_") {
                command.env_remove(name);
            }
        }
        command
            .env("NO_COLOR", "1")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn()?;
        let stdout: Option<Box<dyn Read + Send>> = process.stdout.take().map(|s| Box::new(s) as _);
        let stderr: Option<Box<dyn Read + Send>> = process.stderr.take().map(|s| Box::new(s) as _);
        let (send, lines) = channel();
        let readers = [stdout, stderr].into_iter().flatten().map(|stream| {
            let send = send.clone();
            thread::spawn(move || {
                let lines = BufReader::new(stream).lines().map_while(Result::ok);
                // Nobody listens any more once the test has failed.
                lines
                    .take_while(|line| send.send(line.clone()).is_ok())
                    .for_each(drop);
            })
        });
        Ok(Self {
            name: name.to_owned(),
            readers: readers.collect(),
            process,
            lines,
            printed: String::new(),
            deadline: Instant::now() + TIME_LIMIT,
        })
    }

    fn wait_for_line(&mut self, wanted: &str) -> Result<()> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                bail!("{} did not print: {wanted}\n{}", self.name, self.printed);
            };
            self.printed.extend([line.as_str(), "\n"]);
            if line == wanted {
                return Ok(());
            }
        }
    }

    /// Sends SIGTERM.
    fn terminate(&self) -> Result<()> {
        let id = self.process.id().to_string();
        ensure!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()?
                .success(),
            "no process {id}"
        );
        Ok(())
    }

    /// Waits for the end of the process.
    fn end(mut self) -> Result<(ExitStatus, Output)> {
        let status = loop {
            if let Some(status) = self.process.try_wait()? {
                break status;
            }
            ensure!(
                Instant::now() < self.deadline,
                "{} does not end\n{}",
                self.name,
                self.printed
            );
            thread::sleep(Duration::from_millis(10));
        };
        for reader in self.readers.drain(..) {
            ensure!(reader.join().is_ok(), "a reader of {} panicked", self.name);
        }
        let mut printed = std::mem::take(&mut self.printed);
        printed.extend(self.lines.try_iter().map(|line| line + "\n"));
        Ok((status, Output(printed)))
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Both fail if it has ended, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Finds an example's binary: `target/<profile>/examples`, beside the `deps` that this test is in.
fn binary(example: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test
        .parent()
        .and_then(Path::parent)
        .context("a test is in target/<profile>/deps")?;
    let binary = profile
        .join("examples")
        .join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        binary.exists(),
        "{} is not built: cargo build --examples",
        binary.display()
    );
    Ok(binary)
}
