//! Every shipped policy has tests, passes them, and needs each of its checks.

use super::*;
use ocisign::policy::fmt;
use ocisign::policy::test::{TestFile, drop_each_check, link_by_name, run};

fn tests_of(name: &str) -> (Vec<u8>, TestFile) {
    let path = policies().join(format!("{name}.test.json"));
    let bytes = std::fs::read(&path).unwrap_or_else(|_| panic!("{name} has no tests"));
    let file = TestFile::parse(&bytes, &Limits::default())
        .unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
    (bytes, file)
}

fn document(name: &str, bytes: &[u8]) -> Document {
    parse(bytes, &Limits::default()).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"))
}

#[test]
fn every_case_of_every_shipped_policy_passes() {
    for (name, bytes) in shipped() {
        let policy = link_by_name(document(&name, &bytes)).unwrap();
        for result in run(&policy, &tests_of(&name).1) {
            assert!(
                result.passed(),
                "{name}: {}: expected {:?}, missing {:?}\n{:#?}",
                result.name,
                result.expect,
                result.missing,
                result.verdict.verdict(),
            );
        }
    }
}

#[test]
fn every_part_of_every_shipped_policy_matters() {
    for (name, bytes) in shipped() {
        let tests = tests_of(&name).1;
        let parts = drop_each_check(&document(&name, &bytes));
        assert!(!parts.is_empty(), "{name}");
        for (part, less) in parts {
            let results = run(&link_by_name(less).unwrap(), &tests);
            assert!(
                results.iter().any(|r| !r.passed()),
                "{name}: without {part} every case passes all the same"
            );
        }
    }
}

#[test]
fn what_is_shipped_is_formatted() {
    let update = std::env::var_os("OCISIGN_UPDATE").is_some();
    for (name, bytes) in shipped() {
        for (file, bytes) in
            [(format!("{name}.json"), bytes), (format!("{name}.test.json"), tests_of(&name).0)]
        {
            let formatted = fmt(&bytes, &Limits::default()).unwrap();
            if update {
                std::fs::write(policies().join(&file), &formatted).unwrap();
            } else {
                assert_eq!(String::from_utf8(bytes).unwrap(), formatted, "{file}");
            }
        }
    }
}

/// The keys that shipped policies name lie in the tree, so that the README's
/// first command runs; each policy names the folder of test keys only.
#[test]
fn shipped_policies_name_keys_of_the_tree() {
    for (name, bytes) in shipped() {
        for signer in document(&name, &bytes).signers.values() {
            for (_, source) in signer.sources() {
                let ocisign::policy::Blob::File { path, .. } = source else { continue };
                assert!(path.starts_with("../keys-test/"), "{name}: {path}");
            }
        }
    }
}
