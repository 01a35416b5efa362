//! Holds the documents to the files: every relative link leads somewhere, every function that docs/ARCHITECTURE.md
//! names is in the file it names, and every source file has its line there.

use std::path::{Component, Path, PathBuf};
use std::{fs, io};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file that users read.
fn documents() -> io::Result<Vec<PathBuf>> {
    let root = root();
    let mut found = Vec::new();
    for folder in [root.clone(), root.join("docs"), root.join("examples")] {
        // There need not be examples in a package that was unpacked.
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The text outside of fenced code, with the number of each line.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(n, line)| {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            return None;
        }
        (!is_code).then_some((n + 1, line))
    })
}

/// The targets of `[text](target)`.
fn links(line: &str) -> Vec<&str> {
    let after = line.split("](").skip(1);
    after.filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchor that a heading has on the web.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect()
}

/// Resolves `..` without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    for document in documents().unwrap() {
        let text = fs::read_to_string(&document).unwrap();
        for (n, line) in prose(&text) {
            for link in links(line) {
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
                let target = match file {
                    "" => document.clone(),
                    file => normal(&document.parent().unwrap().join(file)),
                };
                let is_there = target.exists()
                    && (fragment.is_empty()
                        || fs::read_to_string(&target).is_ok_and(|text| {
                            prose(&text).any(|(_, l)| l.starts_with('#') && anchor(l) == fragment)
                        }));
                if !is_there {
                    broken.push(format!("{}:{n}: {link}", document.display()));
                }
            }
        }
    }

    assert!(
        broken.is_empty(),
        "links that lead nowhere:\n{}",
        broken.join("\n")
    );
}

/// Where a file that docs/ARCHITECTURE.md names is: most are in kafka-core.
fn source(name: &str) -> PathBuf {
    if name.starts_with("kafka-macros/") || name.starts_with("src/") || name == "build.rs" {
        root().join(name)
    } else {
        root().join("kafka-core/src").join(name)
    }
}

/// The pieces of a line between backticks.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn every_function_that_the_architecture_names_exists() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let mut named = 0;
    let mut missing = Vec::new();
    // In drawings, too.
    for (n, line) in text.lines().enumerate() {
        for piece in code(line) {
            let Some((file, path)) = piece.split_once(".rs::") else {
                continue;
            };
            named += 1;
            let function = path.rsplit("::").next().unwrap();
            let source = source(&format!("{file}.rs"));
            let is_there = fs::read_to_string(&source).is_ok_and(|text| {
                ["(", "<"]
                    .iter()
                    .any(|end| text.contains(&format!("fn {function}{end}")))
            });
            if !is_there {
                missing.push(format!("docs/ARCHITECTURE.md:{}: {piece}", n + 1));
            }
        }
    }

    assert!(named > 40, "only {named} functions are named");
    assert!(
        missing.is_empty(),
        "functions that are not there:\n{}",
        missing.join("\n")
    );
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn the_file_map_names_the_files_that_are_there() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let map = text.split("\n## File map").nth(1).unwrap();
    let map = map.split("\n## ").next().unwrap();
    let rows = map.lines().filter(|line| line.starts_with("| `"));
    let mut named: Vec<PathBuf> = rows
        .flat_map(|row| code(row.split('|').nth(1).unwrap()))
        .map(source)
        .collect();
    let mut there = vec![root().join("build.rs")];
    rust_files(&root().join("src"), &mut there).unwrap();
    rust_files(&root().join("kafka-core/src"), &mut there).unwrap();
    rust_files(&root().join("kafka-macros/src"), &mut there).unwrap();
    there.retain(|path| !path.ends_with("tests.rs"));
    named.sort();
    there.sort();

    let without_a_row: Vec<_> = there.iter().filter(|path| !named.contains(path)).collect();
    let without_a_file: Vec<_> = named.iter().filter(|path| !there.contains(path)).collect();
    assert!(
        without_a_row.is_empty(),
        "not in the file map: {without_a_row:#?}"
    );
    assert!(
        without_a_file.is_empty(),
        "only in the file map: {without_a_file:#?}"
    );
}
