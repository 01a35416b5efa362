//! What the texts in the attribute mean: durations, sizes, names of topics, patterns, groups, environment variables.
//!
//! Functions from a text to its meaning; an error is a sentence that says what to write instead.

use regex_lite::Regex;

use crate::errors::closest;

/// Kafka's limit for the name of a topic.
const TOPIC_MAX: usize = 249;

/// Kafka's limit for the size of a record, a signed 32-bit number.
const RECORD_MAX: u64 = 2_147_483_647;

const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Debezium's operations, and what else they are called: the first is their name in its documentation.
const OPERATIONS: [(&str, &[&str]); 6] = [
    ("c", &["create", "insert"]),
    ("r", &["read", "snapshot"]),
    ("u", &["update"]),
    ("d", &["delete", "remove"]),
    ("t", &["truncate"]),
    ("m", &["message"]),
];

/// Reads `c,u`: the letters of Debezium's operations, as they stand in an event's `op`.
pub(crate) fn operations(text: &str) -> Result<Vec<&'static str>, String> {
    if text.trim().is_empty() {
        return Err("`ops` is empty: `ops = \"c,u\"`, or leave it out for all".to_owned());
    }
    let mut letters = Vec::new();
    for part in text.split(',').map(str::trim) {
        if part.is_empty() {
            return Err("an operation is missing beside a comma, as in `c,u`".to_owned());
        }
        let Some((letter, _)) = OPERATIONS.iter().find(|(letter, _)| *letter == part) else {
            return Err(not_an_operation(part));
        };
        if letters.contains(letter) {
            return Err(format!("`{letter}` is given twice: remove one"));
        }
        letters.push(*letter);
    }
    Ok(letters)
}

fn not_an_operation(part: &str) -> String {
    let known = OPERATIONS.map(|(letter, names)| format!("`{letter}` ({})", names[0]));
    let form = format!("`{part}` is no operation: there are {}", known.join(", "));
    match meant_operations(part) {
        Some(meant) => format!("{form}: did you mean `{meant}`?"),
        None => form,
    }
}

/// Letters without commas between them, or a word for a letter.
fn meant_operations(part: &str) -> Option<String> {
    let lower = part.to_lowercase();
    let is_letter = |one: &str| OPERATIONS.iter().any(|(letter, _)| *letter == one);
    let letters: Vec<String> = lower
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(String::from)
        .collect();
    if !letters.is_empty() && letters.iter().all(|one| is_letter(one)) {
        return Some(letters.join(","));
    }
    let words: Vec<&str> = OPERATIONS
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    let word = closest(&lower, &words)?;
    let (letter, _) = OPERATIONS.iter().find(|(_, names)| names.contains(&word))?;
    Some((*letter).to_owned())
}

/// Reads `30s`, `100ms`, `5m`, `1h`, in milliseconds.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    let ms = quantity(text, "duration", "s", &DURATIONS)?;
    if ms == 0 {
        return Err("a duration is at least `1ms`".to_owned());
    }
    Ok(ms)
}

/// Reads a duration that may be `0ms`, in milliseconds.
pub(crate) fn wait(text: &str) -> Result<u64, String> {
    quantity(text, "duration", "ms", &DURATIONS)
}

/// Reads `512B`, `64KiB`, `1MiB`, `1MB`, in bytes.
pub(crate) fn size(text: &str) -> Result<u32, String> {
    let bytes = quantity(text, "size", "B", &SIZES)?;
    match u32::try_from(bytes) {
        Ok(0) => Err("a size is at least `1B`".to_owned()),
        Ok(size) if bytes <= RECORD_MAX => Ok(size),
        _ => Err(format!(
            "Kafka's records are at most {RECORD_MAX} bytes: leave the limit out"
        )),
    }
}

/// Reads a whole number with one of the units, directly after it.
fn quantity(text: &str, what: &str, usual: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(not_a_quantity(number, unit, what, usual, &names));
    };
    if number.is_empty() {
        return Err(format!("a number is missing before `{unit}`"));
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| format!("this {what} is too long for a 64-bit number"))
}

fn not_a_quantity(number: &str, unit: &str, what: &str, usual: &str, names: &[&str]) -> String {
    let form = format!(
        "a {what} is a whole number and a unit ({})",
        names.join(", ")
    );
    let meant = match unit.trim().to_lowercase().as_str() {
        "sec" | "secs" | "second" | "seconds" => Some("s"),
        "min" | "mins" | "minute" | "minutes" => Some("m"),
        "hour" | "hours" => Some("h"),
        "k" | "kb" => Some("kB"),
        "m" => Some("MB"),
        "g" => Some("GB"),
        "" => None,
        other => closest(other, names),
    };
    match meant.filter(|unit| names.contains(unit)) {
        Some(unit) if !number.is_empty() => format!("{form}: did you mean `{number}{unit}`?"),
        _ if unit.is_empty() && !number.is_empty() => {
            format!("{form}: the unit is missing, as in `{number}{usual}`")
        }
        _ if unit.starts_with(['.', ',']) => format!("{form}: take a smaller unit"),
        _ => format!("{form}, as in `30{usual}`"),
    }
}

/// Checks the name of a topic, in which `${NAME}` and `${NAME:default}` stand for values of the environment.
pub(crate) fn topic(text: &str) -> Result<(), String> {
    let template = Template::parse(text)?;
    if let Some(bad) = template.literal.chars().find(|c| !is_topic_char(*c)) {
        return Err(format!(
            "{} is not allowed in the name of a topic: letters, digits, `.`, `_` and `-` are{}",
            quoted(bad),
            pattern_hint(bad)
        ));
    }
    if template.literal.len() > TOPIC_MAX {
        return Err(format!(
            "the name of a topic has at most {TOPIC_MAX} characters; this one has {}",
            template.literal.len()
        ));
    }
    match template.literal.as_str() {
        "" if template.is_complete => Err("the name of a topic is empty".to_owned()),
        name @ ("." | "..") if template.is_complete => {
            Err(format!("Kafka does not allow a topic named `{name}`"))
        }
        _ => Ok(()),
    }
}

/// Checks a consumer group's id: Kafka takes any text, but an empty one means no group.
pub(crate) fn group(text: &str) -> Result<(), String> {
    let template = Template::parse(text)?;
    if template.is_complete && template.literal.trim().is_empty() {
        return Err("the group id is empty: write one, or leave the option out".to_owned());
    }
    Ok(())
}

/// Checks a handler's name.
pub(crate) fn name(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the name is empty: write one, or leave the option out".to_owned());
    }
    Ok(())
}

/// Reads a pattern of topics. librdkafka takes a name for a pattern only if it starts with `^`.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    let template = Template::parse(text)?;
    if !template.literal.starts_with('^') && !text.starts_with("${") {
        return Err(format!("a pattern starts with `^`: r\"^{text}\""));
    }
    Regex::new(&template.literal).map_err(|error| format!("not a regular expression: {error}"))
}

fn is_topic_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn quoted(c: char) -> String {
    match c {
        ' ' => "a space".to_owned(),
        c if c.is_control() => "a control character".to_owned(),
        c => format!("`{c}`"),
    }
}

fn pattern_hint(c: char) -> &'static str {
    match c {
        '*' | '^' | '[' | '(' | '|' | '+' | '?' | '\\' => "; for many topics: `pattern = r\"^…\"`",
        '$' | '{' | '}' => "; a value of the environment is `${NAME}` or `${NAME:default}`",
        _ => "",
    }
}

/// A text with its `${…}` taken apart.
struct Template {
    /// The text with the defaults filled in, and nothing where there is no default.
    literal: String,
    /// True if every `${…}` has a default.
    is_complete: bool,
}

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        let mut literal = String::new();
        let mut is_complete = true;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((inside, after)) = after.split_once('}') else {
                return Err("`${` is not closed: write `${NAME}` or `${NAME:default}`".to_owned());
            };
            let (name, default) = match inside.split_once(':') {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            variable(name)?;
            is_complete &= default.is_some();
            literal.extend([before, default.unwrap_or_default()]);
            rest = after;
        }
        literal.push_str(rest);
        Ok(Self {
            literal,
            is_complete,
        })
    }
}

/// Checks the name of an environment variable.
pub(crate) fn variable(name: &str) -> Result<(), String> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name {
        return Ok(());
    }
    if name.is_empty() {
        return Err("the variable's name is missing, as in `NAME`".to_owned());
    }
    let inside = name.trim_start_matches(['$', '{']).trim_end_matches('}');
    if inside != name && variable(inside).is_ok() {
        return Err(format!("write the variable's name alone: `{inside}`"));
    }
    Err(format!(
        "`{name}` is not the name of an environment variable: letters, digits and `_`, and no digit first"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T>(result: Result<T, String>) -> String {
        result.err().unwrap_or_default()
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("100ms"), Ok(100));
        assert_eq!(duration("30s"), Ok(30_000));
        assert_eq!(duration("5m"), Ok(300_000));
        assert_eq!(duration("1h"), Ok(3_600_000));
        for (bad, hint) in [
            ("30", "missing, as in `30s`"),
            ("30sec", "`30s`"),
            ("30 s", "`30s`"),
            ("2min", "`2m`"),
            ("1.5s", "smaller unit"),
            ("", "`30s`"),
            ("s", "number is missing"),
            ("-1s", "whole number"),
            ("0s", "at least `1ms`"),
            ("99999999999999999999s", "too long"),
            ("9999999999999999999s", "too long"),
        ] {
            let error = refusal(duration(bad));
            assert!(error.contains(hint), "{bad}: {error}");
        }
    }

    #[test]
    fn a_wait_may_be_none() {
        assert_eq!(wait("0ms"), Ok(0));
        assert_eq!(wait("50ms"), Ok(50));
        assert!(refusal(wait("0")).contains("missing, as in `0ms`"));
    }

    #[test]
    fn sizes_are_binary_and_decimal() {
        assert_eq!(size("512B"), Ok(512));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1MiB"), Ok(1_048_576));
        assert_eq!(size("1GiB"), Ok(1_073_741_824));
        assert_eq!(size("64kB"), Ok(64_000));
        assert_eq!(size("1MB"), Ok(1_000_000));
        assert_eq!(size("1GB"), Ok(1_000_000_000));
        for (bad, hint) in [
            ("1mb", "`1MB`"),
            ("1mib", "`1MiB`"),
            ("64k", "`64kB`"),
            ("1048576", "missing, as in `1048576B`"),
            ("0B", "at least `1B`"),
            ("2GiB", "at most 2147483647"),
            ("9GB", "at most 2147483647"),
        ] {
            let error = refusal(size(bad));
            assert!(error.contains(hint), "{bad}: {error}");
        }
    }

    #[test]
    fn topics_are_what_kafka_allows() {
        for good in ["a", "auth.public.users", "a_b-C.9", "...", &"x".repeat(249)] {
            assert_eq!(topic(good), Ok(()), "{good}");
        }
        for (bad, hint) in [
            ("", "empty"),
            (".", "`.`"),
            ("..", "`..`"),
            ("a b", "a space"),
            ("a/b", "`/`"),
            ("naïve", "`ï`"),
            ("orders.*", "pattern"),
            ("a\n", "control character"),
            (&"x".repeat(250), "249"),
        ] {
            let error = refusal(topic(bad));
            assert!(error.contains(hint), "{bad}: {error}");
        }
    }

    #[test]
    fn a_topic_may_come_from_the_environment() {
        for good in [
            "${TOPIC}",
            "${TOPIC:users}",
            "${PREFIX:}users",
            "${A}.${B:x}.users",
            "${A}.",
        ] {
            assert_eq!(topic(good), Ok(()), "{good}");
        }
        for (bad, hint) in [
            ("${TOPIC", "not closed"),
            ("${}", "name is missing"),
            ("${1A}", "not the name"),
            ("${A-B}", "not the name"),
            ("${TOPIC:}", "empty"),
            ("${TOPIC:a b}", "a space"),
            ("${A:${B}}", "`$`"),
            ("$TOPIC", "`${NAME}`"),
            ("{TOPIC}", "`${NAME}`"),
        ] {
            let error = refusal(topic(bad));
            assert!(error.contains(hint), "{bad}: {error}");
        }
    }

    #[test]
    fn groups_and_patterns_may_come_from_the_environment() {
        assert_eq!(group("${GROUP:g}-${STAGE}"), Ok(()));
        assert!(refusal(group("${GROUP:}")).contains("empty"));
        assert!(refusal(group("${GROUP")).contains("not closed"));
        for good in [r"^auth\.\w+$", r"^${DB:auth}\.(a|b)$", "${PATTERN}"] {
            assert!(pattern(good).is_ok(), "{good}");
        }
        assert!(refusal(pattern("auth.*")).contains("r\"^auth.*\""));
        assert!(refusal(pattern("^(auth")).contains("not a regular expression"));
    }

    #[test]
    fn operations_are_letters_with_commas_between_them() {
        assert_eq!(operations("c"), Ok(vec!["c"]));
        assert_eq!(operations("u, c"), Ok(vec!["u", "c"]));
        assert_eq!(operations("c,r,u,d,t,m").map(|all| all.len()), Ok(6));
        for (bad, hint) in [
            ("", "`ops` is empty"),
            (" ", "`ops` is empty"),
            ("c,", "beside a comma"),
            (",c", "beside a comma"),
            ("c,,u", "beside a comma"),
            ("c,u,c", "`c` is given twice"),
            ("create", "did you mean `c`?"),
            ("INSERT", "did you mean `c`?"),
            ("c,updated", "did you mean `u`?"),
            ("deletes", "did you mean `d`?"),
            ("delete", "did you mean `d`?"),
            ("c,read", "did you mean `r`?"),
            ("snapshot", "did you mean `r`?"),
            ("truncat", "did you mean `t`?"),
            ("C", "did you mean `c`?"),
            ("cu", "did you mean `c,u`?"),
            ("c|u", "did you mean `c,u`?"),
            ("cd", "did you mean `c,d`?"),
            ("c u d", "did you mean `c,u,d`?"),
            ("x", "`r` (read), `u` (update)"),
        ] {
            let error = refusal(operations(bad));
            assert!(error.contains(hint), "{bad}: {error}");
        }
        assert!(!refusal(operations("x")).contains("mean"));
        assert!(!refusal(operations("everything")).contains("mean"));
    }

    #[test]
    fn a_variable_is_named_without_decoration() {
        assert_eq!(variable("ENABLE_9"), Ok(()));
        assert!(refusal(variable("${ENABLE}")).contains("alone: `ENABLE`"));
        assert!(variable("ENABLE=1").is_err());
    }
}
