//! What a handler is, once every rule about its options holds. The rules about its function are in `signature`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use regex_lite::Regex;
use syn::{ExprPath, LitFloat, LitInt, LitStr, Path};

use crate::args::{Args, Setting, Value, not_a_literal, span_of};
use crate::errors::{Errors, closest};
use crate::signature::{Function, HandlerItem};
use crate::values;

/// Everything the expansion needs to know.
pub(crate) struct HandlerModel {
    /// Where the generated code finds the runtime.
    pub(crate) krate: TokenStream,
    pub(crate) options: Options,
    pub(crate) function: Function,
}

impl HandlerModel {
    /// Judges the attribute and the function; `None` if there is an error.
    pub(crate) fn new(args: Args, item: &HandlerItem, errors: &mut Errors) -> Option<Self> {
        let options = Options::new(args, errors);
        let function = Function::new(item, &options, errors)?;
        Some(Self {
            krate: krate(options.krate.as_ref()),
            options,
            function,
        })
    }
}

/// Returns the path of the runtime: the one given, else `::kafka_runtime`.
pub(crate) fn krate(given: Option<&Path>) -> TokenStream {
    given.map_or_else(|| quote!(::kafka_runtime), ToTokens::to_token_stream)
}

/// The options, their values read. `None` is the runtime's default.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) topics: Vec<LitStr>,
    pub(crate) pattern: Option<LitStr>,
    pub(crate) group: Option<LitStr>,
    pub(crate) ordering: Option<Ordering>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) retry: RetryOptions,
    pub(crate) on_failure: Option<FailurePolicy>,
    pub(crate) dead_letter: Option<LitStr>,
    pub(crate) enabled_if: Option<LitStr>,
    pub(crate) name: Option<LitStr>,
    pub(crate) start: Option<Start>,
    pub(crate) max_payload: Option<u32>,
    pub(crate) decode: Option<ExprPath>,
    pub(crate) batch: Option<BatchOptions>,
    pub(crate) retry_topics_ms: Vec<u64>,
    pub(crate) breaker: BreakerOptions,
    /// Empty: all.
    pub(crate) operations: Vec<Operation>,
    /// Empty: whatever an update changed.
    pub(crate) changed: Vec<LitStr>,
    /// One that is there and not known may have been meant for any other; it is an error already.
    pub(crate) has_unknown: bool,
    pub(crate) krate: Option<Path>,
}

/// `retry(…)`.
#[derive(Default)]
pub(crate) struct RetryOptions {
    pub(crate) attempts: Option<u32>,
    pub(crate) initial_ms: Option<u64>,
    pub(crate) max_ms: Option<u64>,
}

/// `batch(…)`.
#[derive(Default)]
pub(crate) struct BatchOptions {
    pub(crate) max: Option<u32>,
    pub(crate) linger_ms: Option<u64>,
}

/// `breaker(…)`, or `breaker = "off"`.
#[derive(Default)]
pub(crate) struct BreakerOptions {
    pub(crate) is_off: bool,
    pub(crate) ratio: Option<f64>,
    pub(crate) records: Option<u32>,
}

/// The variants of an enum of the runtime, under their names in the attribute.
macro_rules! choice {
    ($name:ident { $($variant:ident = $text:literal),* }) => {
        #[derive(Clone, Copy, PartialEq)]
        pub(crate) enum $name {
            $($variant),*
        }

        impl Choice for $name {
            const ALL: &'static [(&'static str, Self)] = &[$(($text, Self::$variant)),*];
        }

        impl ToTokens for $name {
            fn to_tokens(&self, tokens: &mut TokenStream) {
                tokens.extend(match self {
                    $(Self::$variant => quote!($name::$variant)),*
                });
            }
        }
    };
}

trait Choice: Copy + 'static {
    const ALL: &'static [(&'static str, Self)];
}

choice!(Ordering { Key = "key", Partition = "partition", None = "none" });
choice!(Start { Earliest = "earliest", Latest = "latest" });
choice!(Operation {
    Create = "c",
    Read = "r",
    Update = "u",
    Delete = "d",
    Truncate = "t",
    Message = "m"
});
choice!(FailurePolicy { DeadLetter = "dead_letter", Skip = "skip", Stop = "stop" });

/// Every option with an example of its use, as the messages show it.
const OPTIONS: &[(&str, &str)] = &[
    ("batch", "batch(max = 500, linger = \"50ms\")"),
    ("breaker", "breaker(ratio = 0.8, records = 100)"),
    ("changed", "changed = [\"email\", \"name\"]"),
    ("concurrency", "concurrency = 256"),
    ("crate", "crate = path::to::kafka_runtime"),
    ("dead_letter", "dead_letter = \"billing.orders.dlq\""),
    ("decode", "decode = path::to::decoder"),
    ("enabled_if", "enabled_if = \"ENABLE_BILLING\""),
    ("group", "group = \"billing\""),
    ("max_payload", "max_payload = \"1MiB\""),
    ("name", "name = \"on_order\""),
    ("on_failure", "on_failure = \"skip\""),
    ("ops", "ops = \"c,u\""),
    ("ordering", "ordering = \"partition\""),
    ("pattern", "pattern = r\"^orders\\.\""),
    (
        "retry",
        "retry(attempts = 8, initial = \"100ms\", max = \"30s\")",
    ),
    ("retry_topics", "retry_topics = [\"1m\", \"10m\"]"),
    ("start", "start = \"latest\""),
    ("timeout", "timeout = \"30s\""),
];

const RETRY_OPTIONS: &[(&str, &str)] = &[
    ("attempts", "attempts = 8"),
    ("initial", "initial = \"100ms\""),
    ("max", "max = \"30s\""),
];

const BATCH_OPTIONS: &[(&str, &str)] = &[("linger", "linger = \"50ms\""), ("max", "max = 500")];

const BREAKER_OPTIONS: &[(&str, &str)] = &[("ratio", "ratio = 0.8"), ("records", "records = 100")];

/// What people coming from other clients call an option.
const ALIASES: &[(&str, &str)] = &[
    ("attempts", "retry(attempts = 8)"),
    ("auto_offset_reset", "start = \"latest\""),
    ("batch_linger", "batch(linger = \"50ms\")"),
    ("batch_size", "batch(max = 500)"),
    ("circuit_breaker", "breaker(ratio = 0.8, records = 100)"),
    ("columns", "changed = [\"email\"]"),
    ("decoder", "decode = path::to::decoder"),
    ("deserialize_with", "decode = path::to::decoder"),
    ("dlq", "dead_letter = \"billing.orders.dlq\""),
    ("failure_ratio", "breaker(ratio = 0.8)"),
    ("group_id", "group = \"billing\""),
    ("linger", "batch(linger = \"50ms\")"),
    ("linger_ms", "batch(linger = \"50ms\")"),
    ("max_attempts", "retry(attempts = 8)"),
    ("max_batch_size", "batch(max = 500)"),
    ("max_in_flight", "concurrency = 256"),
    ("max_poll_records", "batch(max = 500)"),
    ("max_retries", "retry(attempts = 8)"),
    ("offset", "start = \"latest\""),
    ("on_change", "changed = [\"email\"]"),
    ("operation", "ops = \"c,u\""),
    ("operations", "ops = \"c,u\""),
    ("parallelism", "concurrency = 256"),
    ("ratio", "breaker(ratio = 0.8)"),
    ("regex", "pattern = r\"^orders\\.\""),
    ("retries", "retry(attempts = 8)"),
    ("retry_delays", "retry_topics = [\"1m\", \"10m\"]"),
];

/// The runtime's default of `retry(initial)`, `Retry::DEFAULT`.
const RETRY_INITIAL_MS: u64 = 100;

/// The runtime's default of `retry(max)`, `Retry::DEFAULT`.
const RETRY_MAX_MS: u64 = 30_000;

impl Options {
    fn new(args: Args, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let mut places = Places::default();
        for setting in unique(&args.settings, OPTIONS, errors) {
            options.set(setting, errors);
            places.0.push((setting.name(), span_of(setting)));
        }
        let is_known =
            |setting: &Setting| OPTIONS.iter().any(|(known, _)| *known == setting.name());
        options.has_unknown = !args.settings.iter().all(is_known);
        // There is a topic, or a pattern; one that could not be read is an error already.
        let is_topic =
            |setting: &Setting| names_topic(setting) || is_bare_unknown(setting, OPTIONS);
        let may_have_topic = args.is_partial || args.settings.iter().any(is_topic);
        if args.topics.is_empty() && places.of("pattern").is_none() && !may_have_topic {
            errors.at_span(
                Span::call_site(),
                "which topic? `#[topic_handler(\"orders\")]`, or `pattern = r\"^orders\\.\"` for many",
            );
        }
        options.topics = args.topics;
        options.check_topics(errors);
        options.check_pattern(&places, errors);
        options.check_dead_letter(errors);
        options.check_changed(&places, errors);
        options
    }

    fn set(&mut self, setting: &Setting, errors: &mut Errors) {
        match setting.name().as_str() {
            // A regular expression is judged in `check_pattern`.
            "pattern" => self.pattern = text(setting, errors),
            "group" => {
                self.group = text(setting, errors).filter(|t| holds(t, values::group, errors));
            }
            "ordering" => self.ordering = choice(setting, errors),
            // No call at all may be in flight with 0, and nothing would ever be handled.
            "concurrency" => {
                self.concurrency = count(
                    setting,
                    "to handle one record after another: `ordering = \"partition\"`",
                    errors,
                );
            }
            "timeout" => self.timeout_ms = parsed(setting, values::duration, errors),
            "retry" => self.retry = RetryOptions::new(setting, errors),
            "on_failure" => self.on_failure = choice(setting, errors),
            // The dead letter topic is a topic.
            "dead_letter" => {
                self.dead_letter =
                    text(setting, errors).filter(|t| holds(t, values::topic, errors));
            }
            // `enabled_if` names an environment variable; it is no expression.
            "enabled_if" => {
                self.enabled_if =
                    text(setting, errors).filter(|t| holds(t, values::variable, errors));
            }
            // A name is there to be read.
            "name" => self.name = text(setting, errors).filter(|t| holds(t, values::name, errors)),
            "start" => self.start = choice(setting, errors),
            "max_payload" => self.max_payload = parsed(setting, values::size, errors),
            "decode" => self.decode = path(setting, errors),
            "batch" => self.batch = Some(BatchOptions::new(setting, errors)),
            "retry_topics" => self.retry_topics_ms = waits(setting, errors),
            "breaker" => self.breaker = BreakerOptions::new(setting, errors),
            "ops" => self.operations = operations(setting, errors),
            "changed" => self.changed = columns(setting, errors),
            "crate" => self.krate = path(setting, errors).map(|path| path.path),
            name => unreachable!("`{name}` is not in OPTIONS"),
        }
    }

    fn check_topics(&self, errors: &mut Errors) {
        for (at, topic) in self.topics.iter().enumerate() {
            // A topic has a name that Kafka allows.
            holds(topic, values::topic, errors);
            // A topic is given once.
            if self.topics[..at]
                .iter()
                .any(|other| other.value() == topic.value())
            {
                errors.at(
                    topic,
                    format!("topic `{}` is given twice: remove one", topic.value()),
                );
            }
        }
    }

    fn check_pattern(&self, places: &Places, errors: &mut Errors) {
        // A pattern takes the place of the topics.
        if let (Some(pattern), false) = (places.of("pattern"), self.topics.is_empty()) {
            errors.at_span(
                pattern,
                "a handler has topics or a pattern: remove one, or write a second handler",
            );
        }
        let Some(pattern) = &self.pattern else {
            return;
        };
        match values::pattern(&pattern.value()) {
            Err(error) => errors.at(pattern, error),
            Ok(pattern) => self.check_pattern_matches(&pattern, errors),
        }
    }

    /// A handler whose pattern matches its own dead letter topic would feed on its own failures.
    fn check_pattern_matches(&self, pattern: &Regex, errors: &mut Errors) {
        if let Some(topic) = &self.dead_letter
            && !topic.value().contains("${")
            && pattern.is_match(&topic.value())
        {
            errors.at(
                topic,
                "the pattern matches this topic: the handler would handle its own dead letters; choose another name",
            );
        }
    }

    /// Only an update changes columns; one that never arrives changes none.
    fn check_changed(&self, places: &Places, errors: &mut Errors) {
        let has_updates =
            self.operations.is_empty() || self.operations.contains(&Operation::Update);
        if let (Some(changed), false) = (places.of("changed"), has_updates) {
            errors.at_span(
                changed,
                "`changed` is about updates, which `ops` leaves out: add `u` there, or remove `changed`",
            );
        }
    }

    fn check_dead_letter(&self, errors: &mut Errors) {
        let Some(topic) = &self.dead_letter else {
            return;
        };
        // A record that is skipped or stops the runtime is not written to a dead letter topic.
        if let Some(policy) = match self.on_failure {
            Some(FailurePolicy::Skip) => Some("skip"),
            Some(FailurePolicy::Stop) => Some("stop"),
            Some(FailurePolicy::DeadLetter) | None => None,
        } {
            errors.at(
                topic,
                format!("`on_failure = \"{policy}\"` writes no dead letters: remove `dead_letter` or `on_failure`"),
            );
        }
        // A dead letter in the topic it came from would be handled again, for ever.
        if self
            .topics
            .iter()
            .any(|other| other.value() == topic.value())
        {
            errors.at(
                topic,
                "the handler would handle its own dead letters: choose another topic, or leave `dead_letter` out",
            );
        }
    }
}

impl RetryOptions {
    fn new(setting: &Setting, errors: &mut Errors) -> Self {
        let mut retry = Self::default();
        let Value::List(args) = &setting.value else {
            wrong_kind(setting, "list", errors);
            return retry;
        };
        no_topics(setting, args, errors);
        // `retry()` says nothing.
        not_empty(setting, args, errors);
        let mut waits = Vec::new();
        for setting in unique(&args.settings, RETRY_OPTIONS, errors) {
            match setting.name().as_str() {
                // The first attempt counts.
                "attempts" => {
                    retry.attempts =
                        count(setting, "the first attempt counts: 1 is no retry", errors);
                }
                "initial" => retry.initial_ms = parsed(setting, values::duration, errors),
                "max" => retry.max_ms = parsed(setting, values::duration, errors),
                name => unreachable!("`{name}` is not in RETRY_OPTIONS"),
            }
            if setting.name != "attempts" {
                waits.push(span_of(setting));
            }
        }
        // The first wait is not longer than the longest; one that could not be read is not judged by the default.
        let are_read = [retry.initial_ms, retry.max_ms].iter().flatten().count() == waits.len();
        if let Some(place) = waits.first().copied().filter(|_| are_read)
            && retry.initial_ms.unwrap_or(RETRY_INITIAL_MS) > retry.max_ms.unwrap_or(RETRY_MAX_MS)
        {
            errors.at_span(place, retry.too_long());
        }
        retry
    }

    fn too_long(&self) -> &'static str {
        match (self.initial_ms, self.max_ms) {
            (Some(_), None) => {
                "`initial` is longer than `max`, which is 30s by default: give `max` too"
            }
            (None, Some(_)) => {
                "`max` is shorter than `initial`, which is 100ms by default: give `initial` too"
            }
            _ => "`initial` is longer than `max`: the first wait is the shortest",
        }
    }
}

impl BatchOptions {
    fn new(setting: &Setting, errors: &mut Errors) -> Self {
        let mut batch = Self::default();
        let args = match &setting.value {
            Value::List(args) => args,
            // `batch` alone is a batch with the defaults.
            Value::Missing => return batch,
            _ => {
                wrong_kind(setting, "list", errors);
                return batch;
            }
        };
        no_topics(setting, args, errors);
        for setting in unique(&args.settings, BATCH_OPTIONS, errors) {
            match setting.name().as_str() {
                // A batch of no records would handle nothing.
                "max" => batch.max = count(setting, "1 is one record for each call", errors),
                "linger" => batch.linger_ms = parsed(setting, values::wait, errors),
                name => unreachable!("`{name}` is not in BATCH_OPTIONS"),
            }
        }
        batch
    }
}

impl BreakerOptions {
    fn new(setting: &Setting, errors: &mut Errors) -> Self {
        let mut breaker = Self::default();
        let args = match &setting.value {
            Value::List(args) => args,
            Value::Text(text) if text.value() == "off" => {
                breaker.is_off = true;
                return breaker;
            }
            Value::Path(path) if path.path.is_ident("off") => {
                breaker.is_off = true;
                return breaker;
            }
            _ => {
                errors.at_span(
                    span_of(setting),
                    "`breaker` is a list or off: `breaker(ratio = 0.8, records = 100)`, `breaker = \"off\"`",
                );
                return breaker;
            }
        };
        no_topics(setting, args, errors);
        // `breaker()` says nothing.
        not_empty(setting, args, errors);
        for setting in unique(&args.settings, BREAKER_OPTIONS, errors) {
            match setting.name().as_str() {
                "ratio" => breaker.ratio = ratio(setting, errors),
                // A share of no records is none.
                "records" => {
                    breaker.records = count(setting, "`breaker = \"off\"` switches it off", errors);
                }
                name => unreachable!("`{name}` is not in BREAKER_OPTIONS"),
            }
        }
        breaker
    }
}

/// Reads a share, above 0 and up to 1.
fn ratio(setting: &Setting, errors: &mut Errors) -> Option<f64> {
    let number = match &setting.value {
        Value::Number(number) => number.base10_parse::<f64>().ok(),
        Value::Other(tokens) => syn::parse2::<LitFloat>(tokens.clone())
            .and_then(|number| number.base10_parse::<f64>())
            .ok(),
        _ => None,
    };
    match number {
        Some(ratio) if ratio > 0.0 && ratio <= 1.0 => return Some(ratio),
        // All of them would have to fail more than once.
        Some(percent) if percent > 1.0 && percent <= 100.0 => errors.at_span(
            span_of(setting),
            format!(
                "`ratio` is a share, above 0 and up to 1: did you mean `ratio = {}`?",
                percent / 100.0
            ),
        ),
        // It would open for nothing at all.
        Some(_) => errors.at_span(
            span_of(setting),
            "`ratio` is a share, above 0 and up to 1; `breaker = \"off\"` switches it off",
        ),
        None => wrong_kind(setting, "number", errors),
    }
    None
}

/// Reads the waits of retry topics, in milliseconds.
fn waits(setting: &Setting, errors: &mut Errors) -> Vec<u64> {
    let Value::Array(values, span) = &setting.value else {
        wrong_kind(setting, "list", errors);
        return Vec::new();
    };
    // No retry topic is the default.
    if values.is_empty() {
        errors.at_span(
            *span,
            format!(
                "`retry_topics` is empty: `{}`, or leave it out",
                example("retry_topics", "list")
            ),
        );
    }
    let mut waits: Vec<u64> = Vec::new();
    for value in values {
        let Value::Text(text) = value else {
            let meant = match value {
                Value::Number(number) if number.suffix().is_empty() => format!("{number}s"),
                Value::Number(number) => number.to_string(),
                _ => "1m".to_owned(),
            };
            errors.at(value, format!("a wait is a string: `\"{meant}\"`"));
            continue;
        };
        match values::duration(&text.value()) {
            // A record goes from the shortest wait to the longest, and each has a topic of its own.
            Ok(ms) if waits.last().is_some_and(|last| ms <= *last) => errors.at(
                text,
                "each wait is longer than the one before: `retry_topics = [\"1m\", \"10m\"]`",
            ),
            Ok(ms) => waits.push(ms),
            Err(error) => errors.at(text, error),
        }
    }
    waits
}

/// Reads the letters of operations.
fn operations(setting: &Setting, errors: &mut Errors) -> Vec<Operation> {
    let letters = parsed(setting, values::operations, errors).unwrap_or_default();
    let of_letter = |letter: &&str| {
        let found = Operation::ALL.iter().find(|(name, _)| name == letter);
        found.map(|(_, operation)| *operation)
    };
    letters.iter().filter_map(of_letter).collect()
}

/// Reads the names of columns.
fn columns(setting: &Setting, errors: &mut Errors) -> Vec<LitStr> {
    let Value::Array(values, span) = &setting.value else {
        wrong_kind(setting, "list", errors);
        return Vec::new();
    };
    // No update would be handled.
    if values.is_empty() {
        errors.at_span(
            *span,
            "`changed` is empty: `changed = [\"email\"]`, or leave it out",
        );
    }
    let mut columns: Vec<LitStr> = Vec::new();
    for value in values {
        let Value::Text(text) = value else {
            let meant = match value {
                Value::Path(path) => path.path.get_ident().map(ToString::to_string),
                _ => None,
            };
            let meant = meant.as_deref().unwrap_or("email");
            errors.at(value, format!("a column is a string: `\"{meant}\"`"));
            continue;
        };
        let name = text.value();
        // A column has a name, and is named once.
        if name.trim().is_empty() {
            errors.at(text, "the name of a column is empty");
        } else if columns.iter().any(|other| other.value() == name) {
            errors.at(text, format!("column `{name}` is given twice: remove one"));
        } else {
            columns.push(text.clone());
        }
    }
    columns
}

fn no_topics(setting: &Setting, args: &Args, errors: &mut Errors) {
    for topic in &args.topics {
        errors.at(
            topic,
            format!(
                "`{}` takes no topic: a handler's topics stand before it",
                setting.name()
            ),
        );
    }
}

fn not_empty(setting: &Setting, args: &Args, errors: &mut Errors) {
    if args.topics.is_empty() && args.settings.is_empty() {
        let name = setting.name();
        errors.at(
            &setting.name,
            format!("`{name}` is empty: `{}`", example(&name, "list")),
        );
    }
}

/// Where each option's value stands, also one that could not be read.
#[derive(Default)]
struct Places(Vec<(String, Span)>);

impl Places {
    fn of(&self, name: &str) -> Option<Span> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, span)| *span)
    }
}

/// Returns the settings that exist, each once; reports the others.
pub(crate) fn unique<'a>(
    settings: &'a [Setting],
    known: &[(&str, &str)],
    errors: &mut Errors,
) -> Vec<&'a Setting> {
    let mut taken: Vec<&Setting> = Vec::new();
    for setting in settings {
        let name = setting.name();
        // An option has one of the names in the table.
        if !known.iter().any(|(known, _)| *known == name) {
            errors.push(unknown(setting, known));
        // An option is given once.
        } else if taken.iter().any(|other| other.name() == name) {
            errors.at(
                &setting.name,
                format!("`{name}` is given twice: remove one"),
            );
        } else {
            taken.push(setting);
        }
    }
    taken
}

fn unknown(setting: &Setting, known: &[(&str, &str)]) -> syn::Error {
    let name = setting.name();
    let at = |message: String| syn::Error::new_spanned(&setting.name, message);
    if names_topic(setting) {
        return at(
            "topics have no name in front: `#[topic_handler(\"orders\", \"payments\")]`".to_owned(),
        );
    }
    let alias = ALIASES.iter().find(|(alias, meant)| {
        *alias == name && known.iter().any(|(known, _)| meant.starts_with(known))
    });
    let candidates: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
    if let Some(meant) = alias
        .map(|(_, meant)| *meant)
        .or_else(|| closest(&name, &candidates))
    {
        return at(format!("unknown option `{name}`; did you mean `{meant}`?"));
    }
    if is_bare_unknown(setting, known) {
        return not_a_literal(&setting.name);
    }
    at(format!("unknown option `{name}`; there {}", names(known)))
}

/// True for `topics = …`, as other frameworks have it.
fn names_topic(setting: &Setting) -> bool {
    ["topic", "topics"].contains(&setting.name().as_str())
}

/// True for a lone name that is no option: probably a constant with a topic's name.
fn is_bare_unknown(setting: &Setting, known: &[(&str, &str)]) -> bool {
    matches!(setting.value, Value::Missing)
        && known.iter().all(|(known, _)| *known != setting.name())
}

fn names(known: &[(&str, &str)]) -> String {
    let names: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
    match names.as_slice() {
        [only] => format!("is only {only}"),
        names => format!("are {}", names.join(", ")),
    }
}

fn example(name: &str, kind: &str) -> &'static str {
    let mut all = OPTIONS
        .iter()
        .chain(RETRY_OPTIONS)
        .chain(BATCH_OPTIONS)
        .chain(BREAKER_OPTIONS);
    // `max` is a duration in `retry`, and a number in `batch`.
    let is_it = |(known, example): &&(&str, &str)| {
        *known == name && (kind == "number") == example.ends_with(|c: char| c.is_ascii_digit())
    };
    all.find(is_it).map_or("", |(_, example)| example)
}

/// Reports a value that is of another kind than the option takes, and writes it as it was probably meant.
fn wrong_kind(setting: &Setting, kind: &str, errors: &mut Errors) {
    let name = setting.name();
    let meant = match (&setting.value, kind) {
        (Value::Number(number), "string") if !number.suffix().is_empty() => {
            Some(format!("\"{number}\""))
        }
        (Value::Path(path), "string") => path.path.get_ident().map(|ident| format!("\"{ident}\"")),
        (Value::Text(text), "number") => text.value().parse::<f64>().ok().map(|n| n.to_string()),
        (Value::Text(text), "list") if name == "retry_topics" => {
            Some(format!("[\"{}\"]", text.value()))
        }
        (Value::Text(text), "list") if name == "changed" => {
            let columns: Vec<String> = text
                .value()
                .split(',')
                .map(|c| format!("{:?}", c.trim()))
                .collect();
            Some(format!("[{}]", columns.join(", ")))
        }
        (Value::Array(values, _), "string") if name == "ops" => {
            let letters: Vec<String> = values.iter().filter_map(letter).collect();
            Some(format!("\"{}\"", letters.join(","))).filter(|_| !letters.is_empty())
        }
        (Value::Text(text), "path") => syn::parse_str::<ExprPath>(&text.value())
            .ok()
            .map(|_| text.value()),
        _ => None,
    };
    let meant = meant.map_or_else(
        || example(&name, kind).to_owned(),
        |value| format!("{name} = {value}"),
    );
    errors.at_span(
        span_of(setting),
        format!("`{name}` takes a {kind}: `{meant}`"),
    );
}

/// A letter in a list, with or without its quotes.
fn letter(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.value()),
        Value::Path(path) => path.path.get_ident().map(ToString::to_string),
        _ => None,
    }
}

fn text(setting: &Setting, errors: &mut Errors) -> Option<LitStr> {
    if let Value::Text(text) = &setting.value {
        return Some(text.clone());
    }
    wrong_kind(setting, "string", errors);
    None
}

fn path(setting: &Setting, errors: &mut Errors) -> Option<ExprPath> {
    if let Value::Path(path) = &setting.value {
        return Some(path.clone());
    }
    wrong_kind(setting, "path", errors);
    None
}

fn number<'a>(setting: &'a Setting, errors: &mut Errors) -> Option<&'a LitInt> {
    if let Value::Number(number) = &setting.value {
        return Some(number);
    }
    wrong_kind(setting, "number", errors);
    None
}

/// Reads a number that is at least 1.
fn count(setting: &Setting, hint: &str, errors: &mut Errors) -> Option<u32> {
    let number = number(setting, errors)?;
    match number.base10_parse::<u32>() {
        Ok(0) => errors.at(
            number,
            format!("`{}` is at least 1; {hint}", setting.name()),
        ),
        Ok(count) => return Some(count),
        Err(_) => errors.at(
            number,
            format!("`{}` is from 1 to {}", setting.name(), u32::MAX),
        ),
    }
    None
}

fn parsed<T>(
    setting: &Setting,
    parse: fn(&str) -> Result<T, String>,
    errors: &mut Errors,
) -> Option<T> {
    let text = text(setting, errors)?;
    parse(&text.value())
        .map_err(|error| errors.at(&text, error))
        .ok()
}

fn choice<T: Choice>(setting: &Setting, errors: &mut Errors) -> Option<T> {
    let text = text(setting, errors)?;
    let value = text.value();
    let found = T::ALL.iter().find(|(name, _)| *name == value);
    if found.is_none() {
        let names: Vec<&str> = T::ALL.iter().map(|(name, _)| *name).collect();
        let meant = closest(&value, &names).map(|name| format!("; did you mean \"{name}\"?"));
        errors.at(
            &text,
            format!(
                "`{}` is \"{}\"{}",
                setting.name(),
                names.join("\" or \""),
                meant.unwrap_or_default()
            ),
        );
    }
    found.map(|(_, choice)| *choice)
}

fn holds(text: &LitStr, rule: fn(&str) -> Result<(), String>, errors: &mut Errors) -> bool {
    rule(&text.value())
        .map_err(|error| errors.at(text, error))
        .is_ok()
}
