//! Going on where a run ended: by itself, by Ctrl-C, by a kill.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::common::registry::Lie;
use super::{Scene, answers, lines};

const FILE: &str = "audit.jsonl";

fn log(scene: &Scene) -> String {
    String::from_utf8(scene.sandbox.read(FILE)).unwrap()
}

#[test]
fn what_was_decided_is_not_asked_again_and_what_was_not_is() {
    let scene = Scene::new();
    let list = scene.of_each_answer();
    scene.audit(&list, "--resume audit.jsonl").exits(2).says("denies 4 of 8");
    let asked = scene.registry.count("GET /v2/signed/good/manifests/v1");
    scene.unsigned("signed/missing", "v1");
    let ran = scene.audit(&list, "--resume audit.jsonl").exits(1);
    ran.says("7 of 8 images were decided on earlier; asking about 1").says("denies 5 of 8");
    assert_eq!(scene.registry.count("GET /v2/signed/good/manifests/v1"), asked);
    let found = answers(&log(&scene));
    assert_eq!(found[&scene.name("signed/missing:v1")]["decision"], "deny");
    let summaries = lines(&log(&scene)).iter().filter(|line| line["type"] == "summary").count();
    assert_eq!(summaries, 2);
}

#[test]
fn a_changed_list_changes_the_answer() {
    let scene = Scene::new();
    let list = scene.of_each_answer();
    scene.audit(&list, "--resume audit.jsonl").exits(2);
    let few = [scene.name("open/app:v1"), scene.name("signed/good:v1")];
    scene.audit(&few, "--resume audit.jsonl").exits(0).says("denies 0 of 2 images");
    assert_eq!(answers(&log(&scene)).len(), 2);
    scene.sandbox.ocisign("audit --merge audit.jsonl").exits(0).says("denies 0 of 2 images");
    // the line is that of today's list
    assert_eq!(answers(&log(&scene))[&few[1]]["line"], 2);
}

#[test]
fn a_torn_line_is_dropped_and_nothing_else_is_forgiven() {
    let scene = Scene::new();
    let list = scene.of_each_answer();
    scene.audit(&list, "--resume audit.jsonl").exits(2);
    let whole = log(&scene);
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();

    // killed within the fourth line
    let torn = lines[..3].concat() + &lines[3][..40];
    scene.sandbox.write(FILE, torn);
    let ran = scene.audit(&list, "--resume audit.jsonl").exits(2);
    let decided = lines[1..3].iter().filter(|line| !line.contains("\"undecided\"")).count();
    ran.says(&format!("{decided} of 8 images were decided on earlier"));
    assert_eq!(answers(&log(&scene)), answers(&whole));

    // killed within the first
    scene.sandbox.write(FILE, &lines[0][..20]);
    scene.audit(&list, "--resume audit.jsonl").exits(2).lacks("earlier");
    assert_eq!(answers(&log(&scene)), answers(&whole));

    for (wrong, says) in [
        (lines[1..].concat(), "line 1: it stands before the header"),
        (lines[0].to_owned() + "{\"type\":\"image\"}\n", "line 2: "),
        (lines[0].to_owned() + "\n", "line 2: "),
        (
            lines[0].to_owned()
                + &lines[1]
                    .replace("\"allow\"", "\"maybe\"")
                    .replace("\"deny\"", "\"maybe\"")
                    .replace("\"undecided\"", "\"maybe\""),
            "line 2: ",
        ),
        (lines[0].to_owned() + &lines[1].replacen('{', "{\"extra\":1,", 1), "line 2: "),
        (lines[0].to_owned() + &lines[1].replacen('{', "{\"Image\":\"x\",", 1), "line 2: "),
        (lines[0].to_owned() + "\u{0}\u{0}\u{0}\n" + lines[1], "line 2: "),
        (lines[0].to_owned() + &"x".repeat(2 << 20) + "\n", "line 2: it is too long"),
        (whole.clone() + lines[1], "it stands behind the summary"),
        (lines[..2].concat() + lines.last().unwrap(), "the summary does not count"),
        (lines[0].replace("audit/1", "audit/2"), "no other version"),
    ] {
        scene.sandbox.write(FILE, &wrong);
        scene.audit(&list, "--resume audit.jsonl").exits(2).says(says).says("`audit.jsonl`");
        assert_eq!(log(&scene), wrong, "a file that is refused is left as it was");
    }
}

/// Every byte changed to another: nothing panics, and no image is allowed
/// that was not.
#[test]
fn a_changed_file_never_adds_an_allow() {
    let scene = Scene::new();
    scene.unsigned("closed/app", "v1");
    scene.audit(&[scene.name("closed/app:v1")], "--resume audit.jsonl").exits(1);
    let whole = scene.sandbox.read(FILE);
    let limits = ocisign::Limits::default();
    for at in 0..whole.len() {
        for change in [1, 0x20, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &bytes).unwrap();
            let Ok(Some(log)) = ocisign::audit::Log::read(file, &limits) else { continue };
            let tally = ocisign::audit::Book::one(log).tally().unwrap();
            assert_eq!(tally.totals().allow, 0, "byte {at} ^ {change}");
        }
    }
}

#[test]
fn another_audit_is_not_gone_on_with() {
    let scene = Scene::new();
    let list = scene.of_each_answer();
    scene.audit(&list, "--resume audit.jsonl").exits(2);
    let before = log(&scene);
    for options in ["--depth layers", "--shard 0/2"] {
        let ran = scene.audit(&list, &format!("--resume audit.jsonl {options}")).exits(2);
        ran.says("it is of another audit").says("start with another file");
    }
    // the same policy with other keys behind its file names
    let key = scene.sandbox.read("me.pub");
    scene.sandbox.write("me.pub", scene.sandbox.read("other.pub"));
    scene.audit(&list, "--resume audit.jsonl").exits(2).says("key files hold other keys");
    scene.sandbox.write("me.pub", key);
    let policy = String::from_utf8(scene.sandbox.read("policy.json")).unwrap();
    scene.sandbox.write("policy.json", policy + "\n");
    scene.audit(&list, "--resume audit.jsonl").exits(2).says("the policy is sha256:");
    assert_eq!(log(&scene), before);
}

/// An audit whose images take half a second each.
fn slow(scene: &Scene) -> (Vec<String>, Child) {
    let list: Vec<String> = (0..40)
        .map(|number| {
            scene.unsigned(&format!("open/app-{number:02}"), "v1");
            scene.name(&format!("open/app-{number:02}:v1"))
        })
        .collect();
    scene.registry.lie("GET /v2/*/manifests/v1", Lie::Drip(100, Duration::from_millis(100)));
    scene.sandbox.write("images.txt", list.join("\n"));
    let line =
        "audit --policy policy.json --images images.txt --resume audit.jsonl --concurrency 2";
    let child = Command::new(env!("CARGO_BIN_EXE_ocisign"))
        .args(line.split(' '))
        .current_dir(scene.sandbox.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let written = || std::fs::read(scene.sandbox.path(FILE)).unwrap_or_default();
    while written().iter().filter(|byte| **byte == b'\n').count() < 6 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
    (list, child)
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_killed_audit_goes_on_and_answers_the_same() {
    let scene = Scene::new();
    let (list, mut child) = slow(&scene);
    signal(&child, "KILL");
    child.wait().unwrap();
    let left = answers(log(&scene).rsplit_once('\n').unwrap().0).len();
    assert!((1..40).contains(&left), "{left} were answered");
    scene.sandbox.ocisign("audit --merge audit.jsonl").exits(2).says("the audit was cut short");
    let ran = scene.audit(&list, "--resume audit.jsonl --concurrency 40").exits(0);
    ran.says(&format!("{left} of 40 images were decided on earlier"));
    let whole = scene.audit(&list, "--output json --concurrency 40").exits(0);
    assert_eq!(answers(&log(&scene)), answers(&whole.stdout));
}

#[test]
fn told_to_stop_it_keeps_what_it_has_and_says_that_it_is_not_all() {
    for name in ["INT", "TERM"] {
        let scene = Scene::new();
        let (list, mut child) = slow(&scene);
        // nobody else goes on with it meanwhile
        scene.audit(&list, "--resume audit.jsonl").exits(2).says("another audit writes it");
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(2));
        assert!(log(&scene).ends_with('\n'));
        scene.audit(&list, "--resume audit.jsonl --concurrency 40").exits(0).says("denies 0 of 40");
    }
}
