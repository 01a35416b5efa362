//! Holds docs/CONFIGURATION.md to the tables in code: each is found in the page between two markers.

use super::property::{CHANGED, OWNED, Side};
use super::secret::REDACTED;
use super::setting::SETTINGS;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIGURATION.md");

#[test]
fn the_page_lists_the_settings_of_the_code() {
    let rows = SETTINGS.iter().map(|setting| {
        [
            format!("`{}`", setting.variable),
            format!("`{}`", setting.method),
            setting.form.to_owned(),
            setting.default.to_owned(),
            if setting.is_secret {
                format!("{} A secret.", setting.meaning)
            } else {
                setting.meaning.to_owned()
            },
        ]
    });

    check(
        "settings",
        ["variable", "method", "value", "default", "meaning"],
        rows,
    );
}

#[test]
fn the_page_lists_the_refused_properties_of_the_code() {
    let mut rows: Vec<[String; 2]> = Vec::new();
    for (property, owner) in OWNED {
        let reason = owner.reason();
        match rows.last_mut() {
            Some([names, last]) if *last == reason => *names = format!("{names}, `{property}`"),
            _ => rows.push([format!("`{property}`"), reason]),
        }
    }

    check(
        "refused",
        ["property", "what to do, or why not"],
        rows.into_iter(),
    );
}

#[test]
fn the_page_lists_the_changed_defaults_of_the_code() {
    let rows = CHANGED.iter().map(|changed| {
        let side = match changed.side {
            Side::All => "all",
            Side::Consumer => "consumer",
            Side::Producer => "producer",
        };
        [
            format!("`{}={}`", changed.property, changed.value),
            side.to_owned(),
            changed.why.to_owned(),
        ]
    });

    check("defaults", ["property", "client", "why"], rows);
}

#[test]
fn the_page_says_what_is_shown_instead_of_a_secret() {
    let page = std::fs::read_to_string(PAGE).unwrap_or_default();

    assert!(page.contains(REDACTED));
}

#[track_caller]
fn check<const N: usize>(name: &str, head: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut expected = line(&head.map(str::to_owned)) + &"|---".repeat(N) + "|\n";
    expected.extend(rows.map(|cells| line(&cells)));

    let page = std::fs::read_to_string(PAGE).unwrap_or_default();
    let start = format!("<!-- table: {name} -->\n");
    let after = page.split_once(&start).map_or("", |(_, after)| after);
    let found = after
        .split_once("<!-- end -->")
        .map_or("", |(table, _)| table);

    assert!(
        found.trim() == expected.trim(),
        "docs/CONFIGURATION.md must have between `{}` and `<!-- end -->`:\n\n{expected}",
        start.trim()
    );
}
