//! The pages under docs/ that state facts of the code: a page that is behind
//! the code fails here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ocisign::limits::Limits;

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
