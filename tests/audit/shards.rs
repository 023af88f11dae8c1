//! Parts that run by themselves, and their one report.

use super::{Scene, answers};

fn run(scene: &Scene, list: &[String], count: u32) -> String {
    for index in 0..count {
        let _ = std::fs::remove_file(scene.sandbox.path(format!("shard-{index}.jsonl")));
        scene.audit(list, &format!("--shard {index}/{count} --resume shard-{index}.jsonl"));
    }
    (0..count).map(|index| format!(" shard-{index}.jsonl")).collect()
}

#[test]
fn the_shards_together_are_the_whole() {
    let scene = Scene::new();
    let mut list = scene.of_each_answer();
    list.push("no name!".to_owned());
    let whole = scene.audit(&list, "--output json").exits(2);
    let table = scene.audit(&list, "").exits(2).stdout;
    for count in [1, 3, 7] {
        let files = run(&scene, &list, count);
        let merged = scene.sandbox.ocisign(&format!("audit --output json --merge{files}")).exits(2);
        assert_eq!(answers(&merged.stdout), answers(&whole.stdout), "{count} shards");
        let shown = scene.sandbox.ocisign(&format!("audit --merge{files}")).exits(2).stdout;
        let body = |text: &str| text.rsplit_once("\npolicy ").unwrap().0.to_owned();
        assert_eq!(body(&shown), body(&table));
        for form in ["junit", "sarif"] {
            scene.sandbox.ocisign(&format!("audit --output {form} --merge{files}")).exits(2);
        }
    }
}

#[test]
fn a_shard_that_is_missing_or_unfinished_is_not_overlooked() {
    let scene = Scene::new();
    // names have the registry's port in them, and the choice hangs on the
    // name: so many, that no shard is ever empty
    let list: Vec<String> = (0..48)
        .map(|number| {
            scene.unsigned(&format!("open/app-{number}"), "v1");
            scene.name(&format!("open/app-{number}:v1"))
        })
        .collect();
    run(&scene, &list, 3);
    let merge = |files: &str| scene.sandbox.ocisign(&format!("audit --merge {files}"));
    merge("shard-0.jsonl shard-1.jsonl shard-2.jsonl").exits(0).says("denies 0 of 48");
    merge("shard-0.jsonl shard-2.jsonl").exits(2).says("shard 1/3: its log is not among");
    merge("shard-1.jsonl").exits(2).says("shard 0/3").says("shard 2/3");
    merge("shard-0.jsonl shard-0.jsonl shard-2.jsonl").exits(2).says("shard 1/3: its log");
    let whole = String::from_utf8(scene.sandbox.read("shard-1.jsonl")).unwrap();
    let cut = whole.trim_end().rsplit_once('\n').unwrap().0.to_owned() + "\n";
    scene.sandbox.write("shard-1.jsonl", cut);
    merge("shard-0.jsonl shard-1.jsonl shard-2.jsonl").exits(2).says("the rest of shard 1/3");
    scene.sandbox.write("shard-1.jsonl", whole.replace("\"1/3\"", "\"2/3\""));
    merge("shard-0.jsonl shard-1.jsonl").exits(2).says("belongs to another shard");
    scene.sandbox.write("shard-1.jsonl", "");
    merge("shard-0.jsonl shard-1.jsonl").exits(2).says("`shard-1.jsonl` holds no audit");
}

/// A Job tries a part again whose answer was undecided; each try leaves a log.
#[test]
fn of_several_logs_of_a_shard_the_last_whole_one_counts() {
    let scene = Scene::new();
    let list = [scene.name("open/late:v1")];
    let shard =
        |log: &str| scene.audit(&list, &format!("--shard 0/1 --output json --resume {log}"));
    shard("first.jsonl").exits(2);
    scene.unsigned("open/late", "v1");
    shard("second.jsonl").exits(0);
    let merge = |files: &str| scene.sandbox.ocisign(&format!("audit --merge {files}"));
    merge("first.jsonl").exits(2);
    merge("first.jsonl second.jsonl").exits(0);
    merge("second.jsonl first.jsonl").exits(0);
    let whole = String::from_utf8(scene.sandbox.read("second.jsonl")).unwrap();
    scene
        .sandbox
        .write("second.jsonl", whole.trim_end().rsplit_once('\n').unwrap().0.to_owned() + "\n");
    merge("first.jsonl second.jsonl").exits(2).says("absent: 1 image");
}

#[test]
fn only_shards_of_one_audit_are_merged() {
    let scene = Scene::new();
    let list = scene.of_each_answer();
    run(&scene, &list, 2);
    scene.audit(&list, "--resume whole.jsonl");
    scene.audit(&list, "--shard 0/2 --depth layers --resume deep.jsonl");
    scene.audit(&list, "--shard 0/3 --resume third.jsonl");
    for (files, says) in [
        ("shard-0.jsonl whole.jsonl", "each is a shard of one audit"),
        ("shard-1.jsonl deep.jsonl", "the depth is manifests in one and layers in the other"),
        ("shard-1.jsonl third.jsonl", "are no shards of one audit"),
    ] {
        scene.sandbox.ocisign(&format!("audit --merge {files}")).exits(2).says(says);
    }
}
