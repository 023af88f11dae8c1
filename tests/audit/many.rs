//! Thousands of images: every one answered, in bounded memory.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Scene, answers};

/// Resident memory of a process at its highest, in KiB.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn two_thousand_images_are_answered_in_bounded_memory() {
    let scene = Scene::new();
    let kinds = ["open", "closed", "signed", "audited", "stray"];
    let list: Vec<String> = (0..2000)
        .map(|number| {
            let repository = format!("{}/app-{}", kinds[number % 5], number % 40);
            // one in fifty is not there
            if number % 50 != 7 {
                scene.unsigned(&repository, &format!("v{number}"));
            }
            scene.name(&format!("{repository}:v{number}"))
        })
        .collect();
    scene.sandbox.write("images.txt", list.join("\n"));
    let line =
        "audit --policy policy.json --images images.txt --resume audit.jsonl --concurrency 16";
    let mut child = Command::new(env!("CARGO_BIN_EXE_ocisign"))
        .args(line.split(' '))
        .current_dir(scene.sandbox.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut highest = 0;
    let status = loop {
        highest = highest.max(peak(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(2));
    assert!((1..128 << 10).contains(&highest), "{highest} KiB");
    let log = String::from_utf8(scene.sandbox.read("audit.jsonl")).unwrap();
    let found = answers(&log);
    assert_eq!(found.len(), 2000);
    let count = |decision: &str| found.values().filter(|l| l["decision"] == decision).count();
    assert_eq!((count("allow"), count("deny"), count("undecided")), (800, 1160, 40));
    // the order and number at a time change no answer
    let again = scene.audit(&list, "--output json --concurrency 3").exits(2);
    assert_eq!(answers(&again.stdout), found);
}
