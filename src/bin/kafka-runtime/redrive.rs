//! `kafka-runtime redrive`: looks at a dead letter topic, and puts its records back.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use kafka_runtime::redrive::{Redrive, RedriveReport, RedriveStart};
use kafka_runtime::{Config, FailureKind, Offset, shutdown_signal};

use crate::time::parse_time;

/// Between two lines about progress where nothing can be written over.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// To the begin of the line, and nothing on it.
const CLEAR_LINE: &str = "\r\x1b[K";

/// Puts the records of a dead letter topic back to where they came from.
///
/// Reads from where the last run left off to where the topic ends now. A record counts as put back when the broker has
/// acknowledged it; then the position is committed. Look first: --dry-run reads and reports, and changes nothing.
///
/// Exit status: 0 all was put back, or there was nothing; 1 something was refused or failed, or it was stopped; 2 the
/// command line is wrong.
#[derive(Args)]
#[command(verbatim_doc_comment)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub(crate) struct RedriveArgs {
    /// The dead letter topic: {group}.{topic}.dlq, unless the handler names another
    dead_letter_topic: String,

    /// Read and report only: produce nothing, commit nothing
    #[arg(long)]
    dry_run: bool,

    /// Print the report as JSON: one object, on one line
    #[arg(long)]
    json: bool,

    /// Put back at most this many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Put back only what failed for this reason: decode, permanent, retryable, unclassified, panic, timeout (repeatable)
    #[arg(long, help_heading = "Which records")]
    class: Vec<FailureKind>,

    /// Put back only what this handler gave up (repeatable)
    #[arg(long, value_name = "NAME", help_heading = "Which records")]
    handler: Vec<String>,

    /// Put back only what comes from this topic (repeatable)
    #[arg(long, value_name = "TOPIC", help_heading = "Which records")]
    origin: Vec<String>,

    /// Put back only what became a dead letter then or later: 30m, 2h, 1d (ago), or 2026-01-31T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Which records")]
    since: Option<SystemTime>,

    /// Put back only what became a dead letter before then
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Which records")]
    until: Option<SystemTime>,

    /// Read only this partition (repeatable)
    #[arg(long, value_name = "N", help_heading = "Which records")]
    partition: Vec<i32>,

    /// Begin at the oldest record, also those that were put back before
    #[arg(long, conflicts_with = "from_offset", help_heading = "Which records")]
    from_oldest: bool,

    /// Begin at this offset; needs one --partition
    #[arg(
        long,
        value_name = "OFFSET",
        requires = "partition",
        help_heading = "Which records"
    )]
    from_offset: Option<i64>,

    /// End before this offset; needs one --partition
    #[arg(
        long,
        value_name = "OFFSET",
        requires = "partition",
        help_heading = "Which records"
    )]
    until_offset: Option<i64>,

    /// Put every record into this topic, partition by key, whatever its headers say
    #[arg(long, value_name = "TOPIC", help_heading = "Where to")]
    to: Option<String>,

    /// Believe records that say that they come from this topic, though the dead letter topic's name does not (repeatable)
    #[arg(long, value_name = "TOPIC", help_heading = "Where to")]
    allow_origin: Vec<String>,

    /// Refuse what was put back this often already
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Where to")]
    max_redrives: u32,

    /// The consumer group that keeps the position [default: {dead letter topic}.redrive]
    #[arg(long, value_name = "GROUP", help_heading = "Position")]
    group: Option<String>,

    /// Move the position past skipped and refused records, too: they are left for good
    #[arg(long, help_heading = "Position")]
    advance: bool,

    /// The brokers that are asked first, host:port,… [default: `KAFKA_BOOTSTRAP_SERVERS`]
    #[arg(long, value_name = "SERVERS", help_heading = "Connection")]
    bootstrap_servers: Option<String>,
}

/// Runs the command; true if everything was put back.
pub(crate) fn run(args: RedriveArgs) -> anyhow::Result<bool> {
    let is_json = args.json;
    tell(&format!("reading {} …", args.dead_letter_topic));
    let redrive = args.into_redrive()?;
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = tokio.block_on(redrive.run_until(shutdown_signal()));
    if std::io::stderr().is_terminal() {
        // Of the last line about progress.
        let _ = write!(std::io::stderr(), "{CLEAR_LINE}");
    }
    let (report, error) = match ended {
        Ok(report) => (Some(report), None),
        Err(error) => (error.report().cloned(), Some(error)),
    };
    if let Some(report) = &report {
        let text = if is_json {
            report.to_json()
        } else {
            report.to_string()
        };
        writeln!(std::io::stdout(), "{text}")?;
    }
    match error {
        Some(error) => Err(error.into()),
        None => Ok(report.is_some_and(|report| report.is_clean())),
    }
}

impl RedriveArgs {
    fn into_redrive(self) -> anyhow::Result<Redrive> {
        let mut config = Config::from_env()?;
        if let Some(servers) = self.bootstrap_servers {
            config = config.bootstrap_servers(servers);
        }
        let mut redrive = Redrive::new(self.dead_letter_topic)
            .config(config)
            .dry_run(self.dry_run)
            .max_redrives(self.max_redrives)
            .advance(self.advance)
            .on_progress(progress());
        redrive = self.class.into_iter().fold(redrive, Redrive::class);
        redrive = self.handler.into_iter().fold(redrive, Redrive::handler);
        redrive = self.origin.into_iter().fold(redrive, Redrive::origin);
        redrive = self.partition.into_iter().fold(redrive, Redrive::partition);
        let allowed = self.allow_origin.into_iter();
        redrive = allowed.fold(redrive, Redrive::allow_origin);
        redrive = self.limit.into_iter().fold(redrive, Redrive::limit);
        redrive = self.since.into_iter().fold(redrive, Redrive::since);
        redrive = self.until.into_iter().fold(redrive, Redrive::until);
        redrive = self.to.into_iter().fold(redrive, Redrive::to);
        redrive = self.group.into_iter().fold(redrive, Redrive::group_id);
        let end = self.until_offset.map(Offset);
        redrive = end.into_iter().fold(redrive, Redrive::end);
        Ok(match self.from_offset {
            Some(offset) => redrive.start(RedriveStart::At(Offset(offset))),
            None if self.from_oldest => redrive.start(RedriveStart::Oldest),
            None => redrive,
        })
    }
}

/// Tells how far it is: on a terminal over the line before, else now and then.
fn progress() -> impl FnMut(&RedriveReport) + Send {
    let is_terminal = std::io::stderr().is_terminal();
    let mut told: Option<Instant> = None;
    move |report| {
        if !is_terminal && told.is_some_and(|told| told.elapsed() < LINE_EVERY) {
            return;
        }
        told = Some(Instant::now());
        let left: i64 = report
            .partitions
            .iter()
            .map(|partition| partition.end.0 - partition.next.0)
            .sum();
        let verb = if report.is_dry_run {
            "would go"
        } else {
            "put back"
        };
        let text = format!(
            "{} read, {left} to go: {} {verb}, {} skipped, {} refused",
            report.read(),
            report.put_back,
            report.skipped,
            report.refused
        );
        if is_terminal {
            let _ = write!(std::io::stderr(), "{CLEAR_LINE}{text}");
        } else {
            tell(&text);
        }
    }
}

/// Standard output is for the report.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
