//! JUnit and SARIF, as those read them who did not write them.

use quick_xml::events::Event;
use serde_json::Value;

use super::Scene;
use super::common::peer;
use super::common::run::Ran;

/// The scene of every answer with a list that has users and hostile names.
fn audit(scene: &Scene, form: &str) -> Ran {
    let mut list = scene.of_each_answer();
    let image = scene.name("signed/naked:v1");
    list.push(format!(
        "{{\"image\":\"{image}\",\"users\":{{\"named\":[{{\"namespace\":\"shop\",\"kind\":\"Deployment\",\"name\":\"a<b>&\\u001b[1m\\uffff\"}}]}}}}"
    ));
    list.push("]]>&<x a=\"b\"/>\u{1b}[31m".to_owned());
    scene.audit(&list, &format!("--output {form}")).exits(2)
}

#[test]
fn junit_has_a_suite_for_each_rule_and_a_test_for_each_image() {
    let scene = Scene::new();
    let ran = audit(&scene, "junit");
    let mut reader = quick_xml::Reader::from_str(&ran.stdout);
    reader.config_mut().check_end_names = true;
    let mut elements: Vec<(String, Vec<(String, String)>)> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                let attributes = element.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let name = attribute.key.as_ref().to_owned();
                    (name, attribute.value.into_owned())
                });
                let name = element.name().as_ref().to_owned();
                elements.push((name, attributes.collect()));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let count = |name: &str| elements.iter().filter(|(element, _)| element == name).count();
    assert_eq!(count("testcase"), 9, "{ran}");
    assert_eq!((count("failure"), count("error"), count("skipped")), (4, 2, 1), "{ran}");
    let value = |at: usize, name: &str| {
        elements[at].1.iter().find(|(key, _)| key == name).unwrap().1.clone()
    };
    for (name, want) in [("tests", "9"), ("failures", "4"), ("errors", "2"), ("skipped", "1")] {
        assert_eq!(value(0, name), want, "{ran}");
    }
    let suites: Vec<String> = (0..elements.len())
        .filter(|at| elements[*at].0 == "testsuite")
        .map(|at| value(at, "name"))
        .collect();
    assert_eq!(
        suites,
        ["absent", "name", "no-rule", "rule base", "rule old", "rule ours", "rule soon"]
    );
}

/// Another parser, whose author never saw ours.
#[test]
fn junit_is_read_by_python() {
    if peer("python3").is_none() {
        return;
    }
    let scene = Scene::new();
    scene.sandbox.write("audit.xml", audit(&scene, "junit").stdout);
    scene.sandbox.write(
        "read.py",
        "import xml.etree.ElementTree as E\n\
         root = E.parse('audit.xml').getroot()\n\
         cases = root.findall('./testsuite/testcase')\n\
         for suite in root:\n\
         \x20   for word, tag in (('failures', 'failure'), ('errors', 'error')):\n\
         \x20       assert int(suite.get(word)) == len(suite.findall('testcase/' + tag))\n\
         failed = [c for c in cases if c.find('failure') is not None]\n\
         naked = [c for c in failed if c.get('name').endswith('/signed/naked:v1')][0]\n\
         print(len(cases), len(failed), naked.find('failure').text)\n",
    );
    let ran = scene.sandbox.peer("python3", "read.py").exits(0);
    assert!(ran.stdout.starts_with("9 4 unsigned ours/by-me: needs a signature of me"), "{ran}");
    ran.says("used by Deployment shop/a<b>&\\u{1b}[1m");
}

#[test]
fn sarif_has_a_result_for_each_image_and_cause() {
    let scene = Scene::new();
    let sarif = audit(&scene, "sarif").json();
    let run = &sarif["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 7);
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "images.txt");
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
    }
    let of = |image: &str| -> &Value {
        let name = scene.name(image);
        let is = |r: &&Value| {
            r["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == name.as_str()
        };
        results.iter().find(is).unwrap()
    };
    let naked = of("signed/naked:v1");
    assert_eq!(
        (&naked["level"], &naked["ruleId"]),
        (&"error".into(), &"unsigned/ours/by-me".into())
    );
    assert!(naked["message"]["text"].as_str().unwrap().contains("Used by Deployment shop/"));
    assert_eq!(of("audited/naked:v1")["level"], "warning");
    assert_eq!(of("signed/missing:v1")["ruleId"], "absent");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
}

/// The schema of OASIS, put beside the peers by `.ci/run`.
#[test]
fn sarif_keeps_to_its_schema() {
    let Some(schema) = peer("sarif-schema-2.1.0.json") else { return };
    let mut schema: Value = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    // its expression for languages has an unpaired bracket; we name no language
    for part in ["run", "toolComponent"] {
        schema["definitions"][part]["properties"]["language"] = Value::Bool(false);
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let scene = Scene::new();
    let wrong = |sarif: &Value| -> Vec<String> {
        validator
            .iter_errors(sarif)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    };
    let sarif = audit(&scene, "sarif").json();
    assert_eq!(wrong(&sarif), [""; 0]);
    let mut broken = sarif.clone();
    broken["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(!wrong(&broken).is_empty(), "the schema says nothing");
    // nothing to report is a report too
    let clean = scene.audit(&[scene.name("open/app:v1")], "--output sarif").exits(0).json();
    assert_eq!(wrong(&clean), [""; 0]);
    assert_eq!(clean["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn a_path_of_a_list_is_a_uri() {
    let scene = Scene::new();
    scene.unsigned("stray/app", "v1");
    scene.sandbox.write("lists/my images%.txt", scene.name("stray/app:v1"));
    std::fs::rename(
        scene.sandbox.path("lists/my images%.txt"),
        scene.sandbox.path("lists/a%#b.txt"),
    )
    .unwrap();
    let line = "audit --policy policy.json --output sarif --images";
    let of = |file: &str| {
        let sarif = scene.sandbox.ocisign(&format!("{line} {file}")).exits(1).json();
        let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        place["artifactLocation"]["uri"].as_str().unwrap().to_owned()
    };
    assert_eq!(of("lists/a%#b.txt"), "lists/a%25%23b.txt");
    let absolute = scene.sandbox.path("lists/a%#b.txt").display().to_string();
    assert!(of(&absolute).starts_with("file:///"), "{absolute}");
}
