//! The pages under docs/ that state facts of the code: a page that is behind
//! the code fails here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ocisign::limits::Limits;
use ocisign::policy::{self, test};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The cells of every table row of a page, without heads and rulers.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    page.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

/// `4 MiB`, `10 000`, `30 s`: as `Debug` writes the field.
fn as_debug(value: &str) -> String {
    let (number, unit) = match value.rsplit_once(' ') {
        Some((number, unit)) if !unit.starts_with(|c: char| c.is_ascii_digit()) => (number, unit),
        _ => (value, ""),
    };
    let number: u64 = number.replace(' ', "").parse().unwrap();
    match unit {
        "" => number.to_string(),
        "s" => format!("{number}s"),
        "KiB" => (number << 10).to_string(),
        "MiB" => (number << 20).to_string(),
        "GiB" => (number << 30).to_string(),
        other => panic!("unit {other}"),
    }
}

#[test]
fn every_limit_is_documented_with_its_value_and_a_reason() {
    let mut documented = BTreeMap::new();
    for row in rows(&read("docs/limits.md")) {
        let [name, value, reason] = row.as_slice() else { panic!("not three cells: {row:?}") };
        assert!(reason.len() > 10, "{name} has no reason");
        let twice = documented.insert(name.trim_matches('`').to_owned(), as_debug(value));
        assert!(twice.is_none(), "{name} stands twice");
    }
    // one field a line: `    name: value,`
    let debug = format!("{:#?}", Limits::default());
    let fields: BTreeMap<String, String> = debug
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.trim_end_matches(',').split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(fields.len() > 20, "{debug}");
    assert_eq!(documented, fields);
}

#[test]
fn the_table_of_modules_is_the_one_that_the_layer_test_holds() {
    let ticked = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let documented: BTreeMap<String, (Vec<String>, bool)> = rows(&read("docs/architecture.md"))
        .into_iter()
        .filter_map(|row| match row.as_slice() {
            [name, _, uses, kind] => {
                Some((name.trim_matches('`').to_owned(), (ticked(uses), kind == "pure")))
            }
            _ => None,
        })
        .collect();
    assert_eq!(documented, layers());
}

/// `TABLE` of tests/layers.rs: what follows each `(` up to its `)`.
fn layers() -> BTreeMap<String, (Vec<String>, bool)> {
    let source = read("tests/layers.rs");
    let table = source.split_once("const TABLE").unwrap().1.split_once("= &[").unwrap().1;
    let table = table.split_once("\n];").unwrap().0;
    let mut layers = BTreeMap::new();
    for entry in table.split('(').skip(1) {
        let entry = entry.split(')').next().unwrap();
        let mut words = entry.split('"').skip(1).step_by(2).map(str::to_owned);
        let name = words.next().unwrap();
        layers.insert(name, (words.collect(), entry.contains("true")));
    }
    layers
}

/// The fenced JSON blocks of a page.
fn json_blocks(page: &str) -> Vec<&str> {
    page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_policies_of_the_language_page_are_valid_and_pass_their_tests() {
    let (page, limits) = (read("docs/policy.md"), Limits::default());
    let blocks = json_blocks(&page);
    let whole = |version: &str| -> Vec<&str> {
        blocks
            .iter()
            .copied()
            .filter(|b| b.contains(&format!("\"ocisign\": \"{version}\"")))
            .collect()
    };
    let policies = whole("policy/1");
    assert!(policies.len() >= 2, "the page shows a first and a whole policy");
    for text in &policies {
        let shown = |p: Vec<policy::Problem>| p.iter().map(|p| p.to_string()).collect::<Vec<_>>();
        policy::parse(text.as_bytes(), &limits).map_err(shown).unwrap();
        assert_eq!(policy::fmt(text.as_bytes(), &limits).map_err(shown).unwrap(), *text);
    }
    let linked =
        policy::parse(policies.last().unwrap().as_bytes(), &limits).and_then(test::link_by_name);
    let tests = test::TestFile::parse(whole("policy-test/1").first().unwrap().as_bytes(), &limits);
    for result in test::run(&linked.unwrap(), &tests.unwrap()) {
        assert!(result.passed(), "{}: {:?} {:?}", result.name, result.verdict, result.missing);
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let page = read("docs/threat-model.md");
    let cells = page.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once(" | "));
    let named: BTreeSet<&str> =
        cells.flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 50, "{named:?}");
    let sources: String = ["src", "tests"].iter().flat_map(|dir| files(dir)).collect();
    let missing: Vec<_> =
        named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The text of every Rust file below a folder.
fn files(folder: &str) -> Vec<String> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (inner, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
        folders.extend(inner);
        let rust = files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
        texts.extend(rust.map(|path| fs::read_to_string(path).unwrap()));
    }
    texts
}
