//! The checks before a start: every problem is found, then all are told in one error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regex_lite::Regex;
use tokio::sync::Semaphore;

use crate::engine::route::{ActiveHandler, Routes};
use crate::error::ClientError;
use crate::event::Operation;
use crate::extract::{Requirements, States};
use crate::failure::breaker::BreakerState;
use crate::failure::policy::FailurePolicy;
use crate::handler::{Handler, Place};
use crate::table::{StartRow, StartTable};
use crate::template::{TemplateError, fill};

/// Kafka's own limit (`org.apache.kafka.common.internals.Topic`).
const TOPIC_LENGTH: usize = 249;

/// Names of handlers and groups, in bytes: with these, what is added to a dead letter stays below 4 KiB.
const NAME_LENGTH: usize = 256;

/// How far dead letters of dead letters are followed.
const LONGEST_WAY: usize = 8;

/// Everything that keeps a runtime from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = &self.problems[..] {
            return write!(f, "the runtime cannot start: {problem}");
        }
        write!(
            f,
            "the runtime cannot start, {} problems:",
            self.problems.len()
        )?;
        for problem in &self.problems {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for StartError {}

/// One reason why a runtime cannot start, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no handler at all.
    #[error(
        "no handler is registered; handlers in a library crate are linked only if the binary names the crate: \
         `use my_handlers as _;`"
    )]
    NoHandlers,
    /// Every handler is switched off.
    #[error("every handler is switched off by its enabled_if: {}", variables.join(", "))]
    AllDisabled {
        /// The variables that are not true.
        variables: Vec<String>,
    },
    /// Two handlers of one group for one topic.
    #[error(
        "topic \"{topic}\" has two handlers in group \"{group}\": {first} and {second}; remove one or give them \
         different groups"
    )]
    TopicTwice {
        /// The topic or pattern.
        topic: String,
        /// The group.
        group: String,
        /// One of them.
        first: Place,
        /// The other.
        second: Place,
    },
    /// A `${…}` cannot be filled in.
    #[error("{place}: {handler}: {source}")]
    Template {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// Why.
        source: TemplateError,
    },
    /// A topic name that Kafka does not allow.
    #[error(
        "{place}: {handler}: \"{topic}\" is no topic name: Kafka allows 1 to 249 of letters, digits, '.', '_' and \
         '-', but not \".\" and \"..\""
    )]
    TopicName {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// The name.
        topic: String,
    },
    /// A pattern that is no regular expression, or does not begin with `^`.
    #[error("{place}: {handler}: pattern \"{pattern}\" {reason}")]
    Pattern {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A handler without a group, in a runtime without one.
    #[error(
        "{place}: {handler} has no consumer group: set KAFKA_GROUP_ID, Config::group_id, or group = \"…\" on the \
         handler"
    )]
    NoGroup {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
    },
    /// An option with a value that makes no sense.
    #[error("{place}: {handler}: {reason}")]
    BadOption {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// What is wrong.
        reason: String,
    },
    /// A handler takes a state that nobody gave.
    #[error("{place}: {handler} needs State<{state}>: give one with Runtime::builder().state(..)")]
    MissingState {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// The type's name.
        state: &'static str,
    },
    /// A state was given twice.
    #[error(
        "two states of type {0} were given; a runtime has one of each type: wrap one in a type of its own"
    )]
    StateTwice(&'static str),
    /// A topic that the cluster does not have.
    #[error(
        "{place}: {handler}: topic \"{topic}\" does not exist; create it, or set KAFKA_MISSING_TOPICS to wait, auto \
         or create:PARTITIONS:REPLICATION"
    )]
    UnknownTopic {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// The topic.
        topic: String,
    },
    /// A topic that the client may not read, or a cluster that does not say.
    #[error("{place}: {handler}: topic \"{topic}\": {source}")]
    Topic {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// The topic.
        topic: String,
        /// What the cluster said.
        source: ClientError,
    },
    /// A dead letter topic that does not exist and cannot be created.
    #[error(
        "{place}: {handler}: dead letter topic \"{topic}\" cannot be created: {source}; create it by hand, or choose \
         on_failure = \"skip\" or \"stop\""
    )]
    DeadLetterTopic {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// The dead letter topic.
        topic: String,
        /// What the cluster said.
        source: ClientError,
    },
    /// Dead letters that come back to the handler that wrote them, by way of others.
    #[error(
        "{place}: {handler}: what it gives up comes back to it: {}; give one of these handlers another dead letter \
         topic, or on_failure = \"skip\" or \"stop\"", topics.join(" -> ")
    )]
    DeadLetterLoop {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// The topic, where its dead letters go, where those go that fail there, and so on.
        topics: Vec<String>,
    },
    /// A retry topic that is not as it has to be.
    #[error("{place}: {handler}: retry topic \"{topic}\" {problem}")]
    RetryTopic {
        /// Where.
        place: Place,
        /// The handler.
        handler: String,
        /// The retry topic.
        topic: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
}

/// What one group will do.
#[derive(Clone, Debug)]
pub(crate) struct GroupPlan {
    pub(crate) group_id: Arc<str>,
    pub(crate) routes: Routes,
    /// Topics by exact name, for the checks against the cluster.
    pub(crate) topics: Vec<(Arc<str>, Arc<ActiveHandler>)>,
}

impl GroupPlan {
    pub(crate) fn of_group(group_id: Arc<str>) -> Self {
        Self {
            routes: Routes::of_group(&group_id),
            group_id,
            topics: Vec::new(),
        }
    }
}

/// What a runtime will do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<GroupPlan>,
    pub(crate) table: StartTable,
}

/// What a plan is made from.
pub(crate) struct Given<'a> {
    pub(crate) handlers: &'a [Handler],
    pub(crate) group_id: Option<&'a str>,
    pub(crate) states: &'a States,
    /// The environment.
    pub(crate) lookup: &'a dyn Fn(&str) -> Option<String>,
}

/// Checks handlers and options without any network; finds every problem.
pub(crate) fn plan(given: &Given<'_>) -> Result<Plan, Vec<Problem>> {
    let mut planning = Planning::default();
    if given.handlers.is_empty() {
        return Err(vec![Problem::NoHandlers]);
    }
    for handler in given.handlers {
        planning.add(handler, given);
    }
    if planning.problems.is_empty() && planning.groups.is_empty() {
        planning.problems.push(Problem::AllDisabled {
            variables: std::mem::take(&mut planning.disabled),
        });
    }
    planning.find_loops();
    if !planning.problems.is_empty() {
        return Err(planning.problems);
    }
    let mut rows = planning.rows;
    rows.sort_by(|a, b| (&a.topic, &a.group).cmp(&(&b.topic, &b.group)));
    Ok(Plan {
        groups: planning.groups.into_values().collect(),
        table: StartTable { rows },
    })
}

#[derive(Default)]
struct Planning {
    problems: Vec<Problem>,
    disabled: Vec<String>,
    groups: BTreeMap<String, GroupPlan>,
    /// Group and topic or pattern, and who took it.
    taken: BTreeMap<(String, String), Place>,
    rows: Vec<StartRow>,
}

impl Planning {
    fn add(&mut self, handler: &Handler, given: &Given<'_>) {
        let (options, place) = (&handler.options, handler.place);
        let name = || options.name.clone();
        if let Some(variable) = &options.enabled_if
            && !is_true((given.lookup)(variable).as_deref())
        {
            self.disabled.push(variable.clone());
            self.rows.push(StartRow {
                on_failure: format!("off: {variable} is not true"),
                ..handler.start_row(&options.topics.join(" "), "")
            });
            return;
        }
        let problems_before = self.problems.len();
        let fill_in = |planning: &mut Self, template: &str| match fill(template, given.lookup) {
            Ok(filled) => Some(filled),
            Err(source) => {
                let handler = name();
                planning.problems.push(Problem::Template {
                    place,
                    handler,
                    source,
                });
                None
            }
        };
        let topics: Vec<String> = options
            .topics
            .iter()
            .filter_map(|t| fill_in(self, t))
            .collect();
        let group = options.group.as_deref().or(given.group_id);
        let group = group.and_then(|group| fill_in(self, group));
        if options.group.is_none() && given.group_id.is_none() {
            self.problems.push(Problem::NoGroup {
                place,
                handler: name(),
            });
        }
        if group
            .as_ref()
            .is_some_and(|group| group.len() > NAME_LENGTH)
        {
            self.problems.push(Problem::BadOption {
                place,
                handler: name(),
                reason: "its group id has more than 256 bytes".to_owned(),
            });
        }
        let dead_letter = options
            .dead_letter
            .as_deref()
            .and_then(|t| fill_in(self, t));
        let pattern = options.pattern.as_deref().and_then(|p| fill_in(self, p));
        let pattern = pattern.and_then(|pattern| self.pattern(handler, &pattern));
        for topic in topics.iter().chain(&dead_letter) {
            if !is_topic_name(topic) {
                let topic = topic.clone();
                self.problems.push(Problem::TopicName {
                    place,
                    handler: name(),
                    topic,
                });
            }
        }
        self.check_options(handler, &topics, dead_letter.as_deref());
        let mut requirements = Requirements::default();
        (handler.requires)(&mut requirements);
        for state in requirements.missing_states(given.states) {
            self.problems.push(Problem::MissingState {
                place,
                handler: name(),
                state,
            });
        }
        let Some(group) = group.filter(|_| self.problems.len() == problems_before) else {
            return;
        };
        let dead_letter = dead_letter.map(Arc::from);
        self.route(
            handler,
            &activate(handler, dead_letter),
            &group,
            topics,
            pattern,
        );
    }

    /// Finds topics whose dead letters come back to them: a record that nobody can handle would go round for ever.
    fn find_loops(&mut self) {
        let mut told = BTreeSet::new();
        let topics = self.groups.values().flat_map(|group| &group.topics);
        for (topic, handler) in topics {
            let Some(path) = self.way_back(&mut vec![topic.to_string()]) else {
                continue;
            };
            let members: BTreeSet<_> = path.iter().cloned().collect();
            if told.insert(members) {
                self.problems.push(Problem::DeadLetterLoop {
                    place: handler.handler.place(),
                    handler: handler.name.to_string(),
                    topics: path,
                });
            }
        }
    }

    /// Follows the dead letters of the last topic; returns the way if it comes back to the first.
    fn way_back(&self, path: &mut Vec<String>) -> Option<Vec<String>> {
        let last = path.last().cloned()?;
        for group in self.groups.values() {
            let Some(handler) = group.routes.of_topic(&last) else {
                continue;
            };
            if handler.on_failure != FailurePolicy::DeadLetter {
                continue;
            }
            let next = handler.dead_letter_topic(&group.group_id, &last);
            let is_back = path.first().is_some_and(|first| **first == *next);
            if !is_back && (path.len() > LONGEST_WAY || path.iter().any(|topic| **topic == *next)) {
                continue;
            }
            path.push(next.to_string());
            if is_back {
                return Some(path.clone());
            }
            if let Some(found) = self.way_back(path) {
                return Some(found);
            }
            path.pop();
        }
        None
    }

    /// Gives topics and pattern to a handler that is in order.
    fn route(
        &mut self,
        handler: &Handler,
        active: &Arc<ActiveHandler>,
        group: &str,
        topics: Vec<String>,
        pattern: Option<Regex>,
    ) {
        let place = handler.place;
        let names = topics
            .iter()
            .map(String::as_str)
            .chain(pattern.as_ref().map(Regex::as_str));
        for name in names {
            let key = (group.to_owned(), name.to_owned());
            if let Some(first) = self.taken.insert(key, place) {
                self.problems.push(Problem::TopicTwice {
                    topic: name.to_owned(),
                    group: group.to_owned(),
                    first,
                    second: place,
                });
            }
            self.rows.push(handler.start_row(name, group));
        }
        let plan = self
            .groups
            .entry(group.to_owned())
            .or_insert_with(|| GroupPlan::of_group(group.into()));
        for topic in topics {
            let topic: Arc<str> = topic.into();
            plan.routes
                .add_topic(Arc::clone(&topic), Arc::clone(active));
            plan.topics.push((topic, Arc::clone(active)));
        }
        if let Some(pattern) = pattern {
            plan.routes.add_pattern(pattern, Arc::clone(active));
        }
    }

    fn pattern(&mut self, handler: &Handler, pattern: &str) -> Option<Regex> {
        let problem = |reason: &str| Problem::Pattern {
            place: handler.place,
            handler: handler.options.name.clone(),
            pattern: pattern.to_owned(),
            reason: reason.to_owned(),
        };
        if !pattern.starts_with('^') {
            self.problems.push(problem(
                "must begin with ^, which is what makes it a pattern for Kafka's clients",
            ));
            return None;
        }
        // Subscribed by librdkafka, with the C library's extended regular expressions; matched here with another engine.
        let is_foreign = pattern.contains("(?")
            || ["*?", "+?", "??"].iter().any(|lazy| pattern.contains(lazy))
            || pattern
                .split('\\')
                .skip(1)
                .any(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
        if is_foreign {
            self.problems.push(problem(
                "is no POSIX extended regular expression: write [0-9] for \\d, [A-Za-z0-9_] for \\w, and ( ) for (?: )",
            ));
            return None;
        }
        match Regex::new(pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                self.problems
                    .push(problem(&format!("is no regular expression: {error}")));
                None
            }
        }
    }

    fn check_options(&mut self, handler: &Handler, topics: &[String], dead_letter: Option<&str>) {
        let options = &handler.options;
        let mut wrong = |reason: &str| {
            self.problems.push(Problem::BadOption {
                place: handler.place,
                handler: options.name.clone(),
                reason: reason.to_owned(),
            });
        };
        if options.name.len() > NAME_LENGTH {
            wrong("its name has more than 256 bytes; it is in the headers of every dead letter");
        }
        if options.concurrency == 0 {
            wrong("concurrency = 0 would handle nothing");
        }
        if options.concurrency > Semaphore::MAX_PERMITS {
            wrong("concurrency is too large");
        }
        if options.retry.attempts == 0 {
            wrong("retry attempts = 0 would handle nothing; 1 is one attempt and no retry");
        }
        if options.retry.initial > options.retry.max {
            wrong("the retry's initial wait is longer than its max");
        }
        if options.batch.is_some() != handler.takes_batches {
            wrong("batch_size and linger are for Handler::batch, whose function takes a Batch");
        }
        if options.batch.is_some_and(|batch| batch.max == 0) {
            wrong(
                "a batch of at most 0 records would handle nothing; 1 is one record for each call",
            );
        }
        let waits = &options.retry_topics;
        if waits.iter().any(Duration::is_zero) || !waits.is_sorted_by(|a, b| a < b) {
            wrong("retry_topics are waits above 0, each longer than the one before");
        }
        let breaker = options.breaker;
        if breaker.ratio.is_nan() || breaker.ratio <= 0.0 || breaker.records == 0 {
            wrong(
                "the breaker's ratio is above 0, and records 1 or more; Breaker::OFF switches it off",
            );
        }
        if let Some(operations) = &options.operations {
            if operations.is_empty() {
                wrong(
                    "of no operations it would handle nothing; without the option it handles all",
                );
            }
            if operations.contains(&Operation::Other) {
                wrong(
                    "Operation::Other cannot be asked for: what this version does not know passes always",
                );
            }
        }
        if let Some(columns) = &options.changed {
            if columns.is_empty() || columns.iter().any(String::is_empty) {
                wrong("changed takes names of columns, one at least");
            }
            let operations = options.operations.as_ref();
            if operations.is_some_and(|operations| !operations.contains(&Operation::Update)) {
                wrong("changed is about updates, which its operations leave out");
            }
        }
        if options.topics.is_empty() && options.pattern.is_none() {
            wrong("it has neither a topic nor a pattern");
        }
        if dead_letter.is_some() && options.on_failure != FailurePolicy::DeadLetter {
            wrong("a dead letter topic is given, but on_failure never uses it");
        }
        if dead_letter.is_some_and(|dead| topics.iter().any(|topic| topic == dead)) {
            wrong(
                "the dead letter topic is one of its own topics, so a failed record would come back for ever",
            );
        }
    }
}

/// Makes a handler ready to be called.
pub(crate) fn activate(handler: &Handler, dead_letter: Option<Arc<str>>) -> Arc<ActiveHandler> {
    let options = &handler.options;
    Arc::new(ActiveHandler {
        name: options.name.as_str().into(),
        ordering: options.ordering,
        timeout: options.timeout,
        retry: options.retry,
        on_failure: options.on_failure,
        dead_letter,
        start: options.start,
        max_payload: options.max_payload,
        batch: options.batch,
        filter: options.filter(),
        retry_waits: options.retry_topics.clone(),
        permits: Arc::new(Semaphore::new(options.concurrency)),
        breaker: BreakerState::new(options.breaker),
        handler: handler.clone(),
    })
}

fn is_true(value: Option<&str>) -> bool {
    let value = value.map(|value| value.trim().to_ascii_lowercase());
    matches!(value.as_deref(), Some("true" | "1" | "yes" | "on"))
}

/// True if Kafka takes it as the name of a topic.
pub(crate) fn is_topic_name(name: &str) -> bool {
    (1..=TOPIC_LENGTH).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && name != "."
        && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::extract::State;
    use crate::{Batch, KafkaProducer};

    fn handler(topic: &str) -> Handler {
        Handler::new(topic, |_: serde_json::Value| async {})
    }

    fn problems(handlers: &[Handler]) -> Vec<String> {
        let given = Given {
            handlers,
            group_id: Some("g"),
            states: &States::default(),
            lookup: &|name| (name == "ON").then(|| " Yes".to_owned()),
        };
        plan(&given)
            .err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn dead_letters_that_come_back_are_told() {
        let around = [
            handler("a").dead_letter("b"),
            handler("b").dead_letter("c"),
            handler("c").dead_letter("a"),
        ];
        let ends = [
            handler("a").dead_letter("b"),
            handler("b").on_failure(FailurePolicy::Skip),
        ];
        let elsewhere = [handler("a"), handler("g.a.dlq").group("h").dead_letter("a")];

        let told = problems(&around);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].contains("a -> b -> c -> a"), "{told:#?}");
        assert_eq!(problems(&ends), [""; 0]);
        let told = problems(&elsewhere);
        assert!(told[0].contains("a -> g.a.dlq -> a"), "{told:#?}");
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let needs_state = Handler::new("b", |_: serde_json::Value, _: State<u32>| async {});
        let handlers = [
            handler("a"),
            handler("a"),
            needs_state,
            handler("${NOPE}"),
            handler("a b"),
            handler("c").concurrency(0),
            handler("d").dead_letter("d"),
            handler("e").with_name("n".repeat(257)),
        ];

        let problems = problems(&handlers);

        assert_eq!(problems.len(), 7, "{problems:#?}");
        for needle in [
            "two handlers",
            "State<u32>",
            "NOPE",
            "\"a b\"",
            "concurrency = 0",
            "come back for ever",
            "256 bytes",
        ] {
            assert!(
                problems
                    .iter()
                    .any(|p| p.contains(needle) && p.contains("start.rs:")),
                "{needle}"
            );
        }
    }

    #[test]
    fn a_batch_holds_something_and_is_of_a_function_that_takes_one() {
        let batch = |topic| Handler::batch(topic, |_: Batch<serde_json::Value>| async {});
        let handlers = [
            batch("a").batch_size(0),
            batch("b").linger(Duration::ZERO),
            handler("c").batch_size(10),
        ];

        let problems = problems(&handlers);

        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(problems[0].contains("at most 0 records"));
        assert!(problems[1].contains("Handler::batch"));
    }

    #[test]
    fn a_filter_asks_for_something_that_there_is() {
        let handlers = [
            handler("a").operations([]),
            handler("b").operations([Operation::Create, Operation::Other]),
            handler("c").changed([] as [&str; 0]),
            handler("d").changed(["email", ""]),
            handler("e")
                .changed(["email"])
                .operations([Operation::Create]),
            handler("f")
                .changed(["email", "email"])
                .operations([Operation::Update]),
        ];

        let problems = problems(&handlers);

        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems[0].contains("of no operations"));
        assert!(problems[1].contains("Operation::Other"));
        assert!(problems[2].contains("one at least"));
        assert!(problems[3].contains("names of columns"));
        assert!(problems[4].contains("leave out"));
    }

    #[test]
    fn a_batch_handler_says_which_state_it_needs() {
        let needs_state = Handler::batch(
            "a",
            |_: Batch<serde_json::Value>, _: State<u32>, _: KafkaProducer| async {},
        );

        assert!(problems(&[needs_state])[0].contains("State<u32>"));
    }

    #[test]
    fn the_table_shows_batches_and_filters_where_there_are_some() {
        let batch = Handler::batch("b", |_: Batch<serde_json::Value>| async {});
        let table = |handlers: &[Handler]| {
            let given = Given {
                handlers,
                group_id: Some("g"),
                states: &States::default(),
                lookup: &|_| None,
            };
            plan(&given).unwrap().table.to_string()
        };

        let with = table(&[handler("a"), batch.clone()]);
        let filtered = table(&[handler("a").changed(["name", "email"]), batch]);

        assert!(!table(&[handler("a")]).contains("BATCH"));
        assert!(!with.contains("FILTER"));
        let columns = |line: &str| -> Vec<String> {
            let cells = line
                .split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty());
            cells.take(5).map(str::to_owned).collect()
        };
        let lines: Vec<_> = with.lines().map(columns).collect();
        assert_eq!(lines[0][3..], ["BATCH", "ORDERING"]);
        assert_eq!(lines[1][3..], ["-", "key"]);
        assert_eq!(lines[2][3..], ["500, 50ms", "key"]);
        let lines: Vec<_> = filtered.lines().map(columns).collect();
        assert_eq!(lines[0][3..], ["BATCH", "FILTER"]);
        assert_eq!(lines[1][3..], ["-", "changed email,name"]);
        assert_eq!(lines[2][3..], ["500, 50ms", "-"]);
    }

    #[test]
    fn no_handler_names_the_fix() {
        assert!(problems(&[])[0].contains("use my_handlers as _;"));
    }

    #[test]
    fn one_topic_in_two_groups_is_fine() {
        assert!(problems(&[handler("a"), handler("a").group("other")]).is_empty());
    }

    #[test]
    fn a_handler_that_is_off_is_shown_and_not_subscribed() {
        let handlers = [
            handler("a").enabled_if("OFF"),
            handler("b").enabled_if("ON"),
        ];
        let given = Given {
            handlers: &handlers,
            group_id: Some("g"),
            states: &States::default(),
            lookup: &|name| (name == "ON").then(|| "yes".to_owned()),
        };

        let plan = plan(&given).unwrap();

        assert_eq!(plan.groups[0].routes.subscription(), ["b"]);
        assert!(plan.table.to_string().contains("off: OFF is not true"));
    }

    #[test]
    fn patterns_must_be_patterns() {
        let matching = |pattern| Handler::matching(pattern, |_: serde_json::Value| async {});

        let problems = problems(&[matching("auth.*"), matching("^("), matching(r"^t\d+")]);

        assert!(
            problems[0].contains("begin with ^")
                && problems[1].contains("no regular expression")
                && problems[2].contains("POSIX")
        );
    }
}
