//! Every image format × {tree, sign, verify, tampered byte}, from one table.
//!
//! [`table::TABLE`] says what must come of each format; the runs here hold
//! ocisign to it, and the README's table of the ancestry is printed from it:
//!
//! ```sh
//! OCISIGN_WRITE=1 cargo test --test ancestry readme    # after a change of the table
//! ```

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../archive/build/mod.rs"]
#[allow(dead_code, reason = "some of it is for the tests beside it")]
mod build;
#[path = "../common/mod.rs"]
mod common;
mod readme;
#[path = "../schema1/build.rs"]
mod schema1;
mod subject;
mod table;

use std::collections::BTreeSet;

use ocisign::evidence::Format;
use ocisign::image::{Addressed, Generation};

use subject::{Signer, Subject};
use table::{Row, TABLE};

/// Runs `check` for every row; a panic names the row.
fn each(check: impl Fn(&Row)) {
    for row in TABLE {
        eprintln!("row: {}", row.image);
        check(row);
    }
}

#[test]
fn every_generation_has_a_row() {
    let generations: BTreeSet<_> = TABLE.iter().map(|row| row.generation).collect();
    assert_eq!(generations, BTreeSet::from(Generation::ALL));
}

#[test]
fn tree_recomputes_it() {
    each(|row| {
        let subject = (row.make)();
        for depth in ["manifests", "layers", "contents"] {
            let ran = subject.ocisign(&format!("tree --depth {depth}")).exits(0);
            match row.generation.addressed() {
                Addressed::Nothing => ran.says("not content-addressed"),
                _ => ran.lacks("not content-addressed"),
            };
        }
        let seen = subject.ocisign("inspect --output json").exits(0).json();
        let generation = serde_json::to_value(row.generation).unwrap();
        assert_eq!(seen["inspection"]["generation"], generation);
    });
}

#[test]
fn unsigned_it_is_denied() {
    each(|row| {
        let subject = (row.make)();
        for signer in &Signer::ALL {
            subject.verify(signer).exits(1);
        }
    });
}

#[test]
fn it_is_signed_in_the_formats_of_its_row_and_in_no_other() {
    each(|row| {
        for signer in &Signer::ALL {
            let subject = (row.make)();
            if !row.signed.contains(&signer.format) {
                subject.sign(signer).exits(2);
                subject.verify(signer).exits(1);
                continue;
            }
            subject.sign(signer).exits(0);
            subject.verify(signer).exits(0);
            subject.verify_by_another(signer).exits(1);
            // one format is no other, and one kind of key no other
            for other in Signer::ALL.iter().filter(|other| other.key != signer.key) {
                subject.verify(other).exits(1);
            }
        }
    });
}

#[test]
fn a_byte_of_any_part_changes_the_answer() {
    each(|row| {
        for signer in Signer::ALL.iter().filter(|signer| row.signed.contains(&signer.format)) {
            let subject = (row.make)();
            subject.sign(signer).exits(0);
            assert!(!subject.parts.is_empty(), "{}", row.image);
            for part in &subject.parts {
                let undo = subject.tamper(part);
                let ran = subject.verify(signer);
                assert_eq!(ran.code, Some(1), "{}, {}: {ran}", row.image, part.name);
                undo();
                subject.verify(signer).exits(0);
            }
            let names: BTreeSet<_> = subject.parts.iter().map(|part| part.name).collect();
            assert_eq!(names, row.parts.iter().copied().collect(), "{}", row.image);
        }
    });
}

/// What a row leaves out must be what ocisign leaves out, not an oversight.
#[test]
fn every_format_that_ocisign_writes_is_tried() {
    let tried: BTreeSet<_> = Signer::ALL.iter().map(|signer| signer.format).collect();
    let help = Subject::help();
    for format in [
        Format::Sigstore,
        Format::Cosign,
        Format::Simple,
        Format::Appc,
        Format::NotaryJws,
        Format::NotaryCose,
        Format::Libtrust,
    ] {
        let offered = help.contains(&format!("- {}:", format.as_str()));
        assert_eq!(offered, tried.contains(&format), "{format:?}");
    }
}
