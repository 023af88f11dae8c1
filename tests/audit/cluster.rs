//! Workloads of a real kube-apiserver, and of servers that answer wrongly.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::apiserver::{Cluster, cluster, eventually};
use super::common::registry::{Auth, Options, Registry};
use super::common::run::Ran;
use super::{Scene, answers};

/// The collection of a kind in a namespace.
fn collection(kind: &str, namespace: &str) -> String {
    let api = match kind {
        "Pod" | "PodTemplate" | "ReplicationController" | "Secret" | "ServiceAccount" => "/api/v1",
        "Job" | "CronJob" => "/apis/batch/v1",
        "Role" | "RoleBinding" => "/apis/rbac.authorization.k8s.io/v1",
        _ => "/apis/apps/v1",
    };
    format!("{api}/namespaces/{namespace}/{}s", kind.to_lowercase())
}

/// An object of any workload kind with this pod spec.
fn workload(kind: &str, name: &str, spec: &Value) -> Value {
    let labels = json!({"app": name});
    let restart = if matches!(kind, "Job" | "CronJob") { "Never" } else { "Always" };
    let mut spec = spec.clone();
    spec["restartPolicy"] = restart.into();
    let template = json!({"metadata": {"labels": labels}, "spec": spec});
    let selector = json!({"matchLabels": labels});
    let (version, body) = match kind {
        "Pod" => ("v1", json!({"spec": spec})),
        "PodTemplate" => ("v1", json!({"template": template})),
        "ReplicationController" => {
            ("v1", json!({"spec": {"selector": labels, "template": template}}))
        }
        "Job" => ("batch/v1", json!({"spec": {"template": template}})),
        "CronJob" => (
            "batch/v1",
            json!({"spec": {"schedule": "0 0 1 1 *",
            "jobTemplate": {"spec": {"template": template}}}}),
        ),
        "StatefulSet" => (
            "apps/v1",
            json!({"spec": {"selector": selector, "serviceName": name, "template": template}}),
        ),
        _ => ("apps/v1", json!({"spec": {"selector": selector, "template": template}})),
    };
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    object.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    object
}

fn containers(image: &str) -> Value {
    json!({"containers": [{"name": "main", "image": image}]})
}

/// A namespace of the real cluster.
struct Space {
    cluster: &'static Cluster,
    name: String,
}

impl Space {
    /// `None` where there is no kube-apiserver.
    fn new(scene: &Scene, name: &str) -> Option<Self> {
        let cluster = cluster()?;
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        cluster.create("/api/v1/namespaces", &object).succeeds();
        scene.sandbox.write("kubeconfig", cluster.kubeconfig("admin"));
        Some(Self { cluster, name: name.to_owned() })
    }

    fn add(&self, kind: &str, name: &str, spec: &Value) -> Value {
        self.create(kind, &workload(kind, name, spec))
    }

    fn create(&self, kind: &str, object: &Value) -> Value {
        self.cluster.create(&collection(kind, &self.name), object).succeeds().json
    }

    fn audit(&self, scene: &Scene, options: &str) -> Ran {
        let from = format!("--from-cluster --kubeconfig kubeconfig --namespace {}", self.name);
        scene.sandbox.ocisign(&format!("audit --policy policy.json {from} {options}"))
    }
}

/// Image and users, in words.
fn users(ran: &Ran) -> BTreeSet<String> {
    let shown = |(image, line): (String, Value)| {
        let mut text = image.rsplit_once('/').unwrap().1.to_owned();
        for user in line["users"]["named"].as_array().into_iter().flatten() {
            let part = |key: &str| user[key].as_str().unwrap().to_owned();
            write!(text, " {} {}/{}", part("kind"), part("namespace"), part("name")).unwrap();
        }
        text
    };
    answers(&ran.stdout).into_iter().map(shown).collect()
}

#[test]
fn every_kind_of_workload_is_asked_about_and_named() {
    let scene = Scene::new();
    let Some(space) = Space::new(&scene, "audit-kinds") else { return };
    let kinds = [
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "CronJob",
        "PodTemplate",
        "ReplicationController",
        "ReplicaSet",
        "Job",
        "Pod",
    ];
    let mut expected = BTreeSet::new();
    for kind in kinds {
        let lower = kind.to_lowercase();
        scene.unsigned(&format!("open/{lower}"), "v1");
        let image = scene.name(&format!("open/{lower}:v1"));
        space.add(kind, &lower, &containers(&image));
        expected.insert(format!("{lower}:v1 {kind} audit-kinds/{lower}"));
    }
    for role in ["init", "debug"] {
        scene.unsigned(&format!("open/{role}"), "v1");
    }
    let mut spec = containers(&scene.name("open/pod:v1"));
    spec["initContainers"] = json!([{"name": "i", "image": scene.name("open/init:v1")}]);
    space.add("Pod", "more", &spec);
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "d", "image": scene.name("open/debug:v1")}]}});
    let path = format!("{}/more/ephemeralcontainers", collection("Pod", &space.name));
    space.cluster.strategic(&path, &debug).succeeds();
    expected.remove("pod:v1 Pod audit-kinds/pod");
    expected.insert("pod:v1 Pod audit-kinds/more Pod audit-kinds/pod".to_owned());
    expected.insert("init:v1 Pod audit-kinds/more".to_owned());
    expected.insert("debug:v1 Pod audit-kinds/more".to_owned());
    assert_eq!(users(&space.audit(&scene, "--output json").exits(0)), expected);
}

#[test]
fn what_would_be_denied_is_shown_with_who_uses_it() {
    let scene = Scene::new();
    let Some(space) = Space::new(&scene, "audit-answers") else { return };
    scene.signed("signed/good", "v1");
    scene.unsigned("signed/naked", "v1");
    space.add("Deployment", "shop", &containers(&scene.name("signed/naked:v1")));
    space.add("CronJob", "clean", &containers(&scene.name("signed/naked:v1")));
    space.add("StatefulSet", "db", &containers(&scene.name("signed/good:v1")));
    let ran = space.audit(&scene, "--resume audit.jsonl").exits(1);
    ran.says("policy `shop` denies 1 of 2 images")
        .says("unsigned ours/by-me: 1 image, 2 users")
        .says("used by CronJob audit-answers/clean, Deployment audit-answers/shop");
    // what changed in the cluster changes the answer of a run that goes on
    let path = format!("{}/shop", collection("Deployment", &space.name));
    space.cluster.delete(&path).succeeds();
    let ran = space.audit(&scene, "--resume audit.jsonl").exits(1);
    ran.says("used by CronJob audit-answers/clean\n");
    let sarif = space.audit(&scene, "--output sarif").exits(1).json();
    let places = &sarif["runs"][0]["results"][0]["locations"][0];
    assert!(places["physicalLocation"].is_null(), "no file names this image: {places}");
    let user = "audit-answers/CronJob/clean";
    assert!(places["logicalLocations"].to_string().contains(user), "{places}");
}

/// Pods of a Deployment are its own: a person changes the Deployment.
#[test]
fn pods_are_shown_as_what_owns_them() {
    let scene = Scene::new();
    let Some(space) = Space::new(&scene, "audit-owners") else { return };
    scene.unsigned("open/app", "v1");
    let spec = containers(&scene.name("open/app:v1"));
    let owner = |kind: &str, version: &str, object: &Value| {
        json!([{"apiVersion": version, "kind": kind, "name": object["metadata"]["name"],
            "uid": object["metadata"]["uid"], "controller": true}])
    };
    let deployment = space.add("Deployment", "web", &spec);
    let mut set = workload("ReplicaSet", "web-1", &spec);
    set["metadata"]["ownerReferences"] = owner("Deployment", "apps/v1", &deployment);
    let set = space.create("ReplicaSet", &set);
    let mut pod = workload("Pod", "web-1-x", &spec);
    pod["metadata"]["ownerReferences"] = owner("ReplicaSet", "apps/v1", &set);
    space.create("Pod", &pod);
    let found = users(&space.audit(&scene, "--output json").exits(0));
    assert_eq!(found, BTreeSet::from(["app:v1 Deployment audit-owners/web".to_owned()]));
}

#[test]
fn more_objects_than_a_page_are_all_seen() {
    let scene = Scene::new();
    let Some(space) = Space::new(&scene, "audit-pages") else { return };
    for app in ["a", "b"] {
        scene.unsigned(&format!("open/{app}"), "v1");
    }
    for number in 0..520 {
        let app = if number == 519 { "b" } else { "a" };
        let image = scene.name(&format!("open/{app}:v1"));
        space.add("Pod", &format!("pod-{number:03}"), &containers(&image));
    }
    let ran = space.audit(&scene, "--output json").exits(0);
    let found = answers(&ran.stdout);
    let of = |app: &str| &found[&scene.name(&format!("open/{app}:v1"))]["users"];
    assert_eq!(of("a")["named"].as_array().unwrap().len(), 50);
    assert_eq!(of("a")["more"], 519 - 50);
    assert_eq!(of("b")["named"][0]["name"], "pod-519");
    let paged = || {
        let asked = space.cluster.audited(&space.name);
        asked.iter().any(|line| {
            let uri = line["requestURI"].as_str().unwrap_or_default();
            uri.contains("/pods?") && uri.contains("continue=")
        })
    };
    assert!(eventually(Duration::from_secs(10), paged), "nothing asked for a second page");
}

/// A service account of its own, with the right to list some kinds.
fn account(space: &Space, lists: &Value) -> String {
    let name = "auditor";
    let meta = json!({"name": name});
    space.create(
        "ServiceAccount",
        &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
    );
    space.create(
        "Role",
        &json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": meta, "rules": lists}),
    );
    space.create(
        "RoleBinding",
        &json!({"apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": space.name}]}),
    );
    space.cluster.kubeconfig(&space.cluster.token(&space.name, name))
}

#[test]
fn the_right_to_list_is_enough_and_what_may_not_be_listed_is_said() {
    let scene = Scene::new();
    let Some(space) = Space::new(&scene, "audit-rights") else { return };
    scene.unsigned("open/app", "v1");
    space.add("Pod", "app", &containers(&scene.name("open/app:v1")));
    let rules = json!([
        {"apiGroups": [""], "resources": ["pods", "podtemplates", "replicationcontrollers"], "verbs": ["list"]},
        {"apiGroups": ["apps"], "resources": ["deployments", "daemonsets", "replicasets", "statefulsets"], "verbs": ["list"]},
        {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["list"]},
    ]);
    scene.sandbox.write("kubeconfig", account(&space, &rules));
    space.audit(&scene, "").exits(0).says("denies 0 of 1 images and allows 1");
    // all namespaces are not its own
    let all = "audit --policy policy.json --from-cluster --kubeconfig kubeconfig";
    let ran = scene.sandbox.ocisign(all).exits(2);
    ran.says("pods: the API server forbids listing them (403); allow `list` on pods");

    let role = format!("{}/auditor", collection("Role", &space.name));
    let fewer = json!({"rules": [rules[0]]});
    space.cluster.merge(&role, &fewer).succeeds();
    let less = || space.audit(&scene, "").code == Some(2);
    assert!(eventually(Duration::from_secs(10), less));
    for form in ["table", "junit", "sarif"] {
        let ran = space.audit(&scene, &format!("--output {form}")).exits(2);
        ran.says("deployments.apps in audit-rights").says("cronjobs.batch in audit-rights");
    }
    let line = space.audit(&scene, "--output json").exits(2).says("\"type\":\"unlisted\"");
    assert_eq!(answers(&line.stdout).len(), 1);
    space.audit(&scene, "--context nowhere").exits(2).says("nowhere");
}

#[test]
fn custom_resources_are_listed_where_a_table_names_them() {
    let scene = Scene::new();
    let Some(space) = Space::new(&scene, "audit-custom") else { return };
    scene.unsigned("closed/app", "v1");
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "ships.audit.test"},
        "spec": {"group": "audit.test", "scope": "Namespaced",
            "names": {"plural": "ships", "singular": "ship", "kind": "Ship"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open}}}}]}});
    let table = json!({"ocisign": "image-places/1", "kinds": [
        {"group": "audit.test", "kind": "Ship", "images": ["$.spec.cargo[*].image"]},
        {"group": "no-such.test", "kind": "Plane", "images": ["$.spec.image"]},
    ]});
    scene.sandbox.write("places.json", table.to_string());
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    space.cluster.create(path, &definition).succeeds();
    let ships = format!("/apis/audit.test/v1beta1/namespaces/{}/ships", space.name);
    assert!(eventually(Duration::from_secs(30), || space.cluster.read(&ships).status == 200));
    let ship = json!({"apiVersion": "audit.test/v1beta1", "kind": "Ship", "metadata": {"name": "one"},
        "spec": {"cargo": [{"image": scene.name("closed/app:v1")}]}});
    space.cluster.create(&ships, &ship).succeeds();
    let ran = space.audit(&scene, "--resources places.json").exits(1);
    ran.says("used by Ship audit-custom/one");
}

#[test]
fn pull_secrets_are_used_where_that_is_asked_for() {
    let registry = Registry::start(Options { auth: Auth::Basic, ..Options::default() });
    let scene = Scene::in_registry(registry);
    let Some(space) = Space::new(&scene, "audit-secrets") else { return };
    scene.unsigned("open/app", "v1");
    let host = scene.registry.host();
    let auths = json!({"auths": {host: {"auth": STANDARD.encode("me:secret")}}});
    space.create(
        "Secret",
        &json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": STANDARD.encode(auths.to_string())}}),
    );
    let mut spec = containers(&scene.name("open/app:v1"));
    space.add("Deployment", "a-without", &spec);
    spec["imagePullSecrets"] = json!([{"name": "pull"}]);
    space.add("Deployment", "b-with", &spec);
    space.audit(&scene, "").exits(2).says("unauthorized: 1 image");
    space.audit(&scene, "--pull-secrets").exits(0).says("denies 0 of 1 images");
}

/// An API server that answers as a test tells it, until the test ends.
fn server(answer: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (answer, asked) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut lines =
                    BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                while let Some(line) = lines.next() {
                    while lines.next().is_some_and(|header| !header.is_empty()) {}
                    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    let (status, body) = answer(asked.fetch_add(1, Ordering::Relaxed), &target);
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {status} As Told\r\nContent-Length: {length}\r\n\r\n");
                    let mut out = &stream;
                    if out
                        .write_all(head.as_bytes())
                        .and_then(|()| out.write_all(body.as_bytes()))
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: k, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\n\
         contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n"
    )
}

fn page(items: &[Value], more: &str) -> (u16, String) {
    (200, json!({"metadata": {"continue": more}, "items": items}).to_string())
}

fn pod(name: &str, image: &str) -> Value {
    let mut pod = workload("Pod", name, &containers(image));
    pod["metadata"]["namespace"] = "n".into();
    // objects in lists do not say what they are
    pod.as_object_mut().unwrap().remove("kind");
    pod.as_object_mut().unwrap().remove("apiVersion");
    pod
}

fn audit(scene: &Scene, kubeconfig: String, options: &str) -> Ran {
    scene.sandbox.write("kubeconfig", kubeconfig);
    let line = "audit --policy policy.json --from-cluster --kubeconfig kubeconfig --output json";
    scene.sandbox.ocisign(&format!("{line} {options}"))
}

/// The server keeps a listing's place for five minutes; then it begins anew,
/// and nothing is counted twice.
#[test]
fn a_listing_that_expires_begins_anew() {
    let scene = Scene::new();
    scene.unsigned("open/app", "v1");
    let image = scene.name("open/app:v1");
    let expired = AtomicUsize::new(0);
    let many: Vec<Value> = (0..60).map(|n| pod(&format!("p{n:02}"), &image)).collect();
    let config = server(move |_, target| match target {
        target if !target.starts_with("/api/v1/pods?") => page(&[], ""),
        target if target.contains("continue=") => match expired.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => (410, "{}".to_owned()),
            _ => page(&many[40..], ""),
        },
        _ => page(&many[..40], "next page/&?"),
    });
    let ran = audit(&scene, config, "").exits(0);
    assert_eq!(answers(&ran.stdout)[&scene.name("open/app:v1")]["users"]["more"], 10, "{ran}");
}

#[test]
fn a_server_that_answers_wrongly_leaves_the_answer_undecided() {
    let scene = Scene::new();
    scene.unsigned("open/app", "v1");
    let image = scene.name("open/app:v1");
    type Answers = Box<dyn Fn(usize, &str) -> (u16, String) + Send + Sync>;
    let wrong: [(&str, Answers); 8] = [
        ("is no list", Box::new(|_, _| (200, "{}".to_owned()))),
        ("is no list", Box::new(|_, _| (200, "{\"metadata\":{},\"items\":[{},".to_owned()))),
        ("same page again", Box::new(|_, _| page(&[], "again"))),
        (
            "expired again and again",
            Box::new(|_, target| match target.contains("continue=") {
                true => (410, String::new()),
                false => page(&[], "next"),
            }),
        ),
        ("answers 500", Box::new(|_, _| (500, "{}".to_owned()))),
        ("does not know who asks", Box::new(|_, _| (401, "{}".to_owned()))),
        ("(404)", Box::new(|_, _| (404, "{}".to_owned()))),
        ("larger than the limit", Box::new(|_, _| (200, " ".repeat(65 << 20)))),
    ];
    for (says, wrong) in wrong {
        let good = page(&[pod("a", &image)], "");
        let config = server(move |count, target| match target {
            target if target.starts_with("/api/v1/pods?") => good.clone(),
            target if target.starts_with("/apis/batch/v1/jobs?") => wrong(count, target),
            _ => page(&[], ""),
        });
        let ran = audit(&scene, config, "").exits(2).says(says).says("jobs.batch");
        assert_eq!(answers(&ran.stdout).len(), 1, "what can be seen is answered: {ran}");
    }
}

#[test]
fn a_cluster_that_cannot_be_reached_is_undecided_and_quick() {
    let scene = Scene::new();
    let config = server(|_, _| (200, String::new()));
    let closed = format!("127.0.0.1:{}", super::common::free_port());
    let (head, tail) = config.split_once("http://").unwrap();
    let tail = tail.split_once('\'').unwrap().1;
    let began = std::time::Instant::now();
    audit(&scene, format!("{head}http://{closed}'{tail}"), "").exits(2).says("cannot be reached");
    assert!(began.elapsed() < Duration::from_secs(30));
    scene
        .sandbox
        .ocisign("audit --policy policy.json --from-cluster")
        .exits(2)
        .says("--kubeconfig");
    scene
        .sandbox
        .ocisign("audit --policy policy.json --from-cluster --kubeconfig none")
        .exits(2)
        .says("`none`");
}

/// Whatever an object says of itself, it drives no terminal and hides no
/// other.
#[test]
fn hostile_objects_are_shown_and_hide_nothing() {
    let scene = Scene::new();
    scene.unsigned("closed/app", "v1");
    let image = scene.name("closed/app:v1");
    let mut liar = pod("liar", &image);
    liar["metadata"]["ownerReferences"] =
        json!([{"controller": true, "kind": "Deployment", "name": "no-such"}]);
    liar["kind"] = "ConfigMap".into();
    let odd = json!({"metadata": {"namespace": "n", "name": "odd"}, "spec": {"containers": 7}});
    let objects =
        [pod("\u{1b}]0;x\u{7}\u{202e}", &image), liar, odd, pod("b", "a b"), pod("c", "")];
    let config = server(move |_, target| match target.starts_with("/api/v1/pods?") {
        true => page(&objects, ""),
        false => page(&[], ""),
    });
    scene.sandbox.write("kubeconfig", config);
    for form in ["table", "json", "junit", "sarif"] {
        let line = "audit --policy policy.json --from-cluster --kubeconfig kubeconfig --output";
        let ran = scene.sandbox.ocisign(&format!("{line} {form}")).exits(2);
        assert!(!ran.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{form}");
        let ran = ran.says("liar").says("Pod n/odd");
        if form == "json" {
            let found = answers(&ran.stdout);
            assert_eq!(found[&image]["decision"], "deny", "{ran}");
            assert_eq!(found.len(), 3, "{ran}");
        }
    }
}
