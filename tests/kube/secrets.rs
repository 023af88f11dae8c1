//! Pull secrets, read from the real API as a service account with the rights
//! of deploy/, used against registries that want passwords.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::cluster::eventually;
use super::common::real::{Real, Setup};
use super::common::registry::{Auth, Options, Registry};
use super::common::run::source;
use super::common::{free_port, peers};
use super::world::{Hook, World, pod};

/// Basic authentication of `me` with a password.
fn auth(password: &str) -> String {
    STANDARD.encode(format!("me:{password}"))
}

/// A pull secret of one of the two types, with one entry for each host.
fn pull_secret(name: &str, legacy: bool, entries: &[(&str, &str)]) -> Value {
    let auths: serde_json::Map<String, Value> = entries
        .iter()
        .map(|(host, password)| ((*host).to_owned(), json!({"auth": auth(password)})))
        .collect();
    let (kind, key, text) = match legacy {
        true => ("kubernetes.io/dockercfg", ".dockercfg", json!(auths)),
        false => ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", json!({"auths": auths})),
    };
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind,
        "data": {key: STANDARD.encode(text.to_string())}})
}

fn pod_with(name: &str, image: &str, secrets: &[&str], account: &str) -> Value {
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({"name": name})).collect();
    pod(
        name,
        &json!({"containers": [{"name": "c", "image": image}], "imagePullSecrets": secrets,
            "serviceAccountName": account}),
    )
}

/// A private registry with a signed image, and a world whose webhook reads
/// secrets as the service account `ocisign` of its namespace.
struct Private {
    world: World,
    host: String,
    image: String,
    _registry: Real,
}

impl Private {
    fn new(namespace: &str, rights: bool) -> Option<Self> {
        if !peers(&["docker-registry"]) {
            return None;
        }
        let setup = Setup { password: true, ..Setup::default() };
        let registry = Real::start_with("docker-registry", setup).unwrap();
        let mut world = World::new(namespace)?;
        let (host, image) = (registry.host.clone(), format!("{}/app:v1", registry.host));
        let login = json!({"auths": {&host: {"auth": auth("secret")}}});
        world.sandbox.write("auth.json", login.to_string());
        for line in [
            format!("copy --no-referrers --auth-file auth.json oci:demo:v1 {image}"),
            format!("sign --auth-file auth.json --key me.key {image}"),
        ] {
            world.sandbox.ocisign(&line).exits(0);
        }
        serve_as_account(&mut world, rights);
        Some(Self { world, host, image, _registry: registry })
    }

    fn secret(&self, name: &str, legacy: bool, entries: &[(&str, &str)]) {
        let secret = pull_secret(name, legacy, entries);
        self.world.cluster.create(&self.world.collection("Secret"), &secret).succeeds();
    }

    fn create(&self, name: &str, secrets: &[&str], account: &str) -> super::cluster::Reply {
        let pod = pod_with(name, &self.image, secrets, account);
        self.world.cluster.create(&self.world.collection("Pod"), &pod)
    }
}

/// Starts the webhook with a token of the service account `ocisign`, and
/// gives the account the role of deploy/ in this namespace.
fn serve_as_account(world: &mut World, rights: bool) {
    let (cluster, namespace) = (world.cluster, world.namespace.clone());
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "ocisign"}});
    cluster.create(&world.collection("ServiceAccount"), &account).succeeds();
    if rights {
        let path = "deploy/kustomize/components/pull-secrets/cluster.yaml";
        let text = std::fs::read_to_string(source(path)).unwrap();
        let role = text.split("\n---\n").next().unwrap();
        let base = "/apis/rbac.authorization.k8s.io/v1";
        // another test may have made the same one
        let made = cluster.create_yaml(&format!("{base}/clusterroles"), role);
        assert!(matches!(made.status, 201 | 409), "{made:#?}");
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "ocisign"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "ocisign-pull-secrets"},
            "subjects": [{"kind": "ServiceAccount", "name": "ocisign", "namespace": namespace}]});
        let path = format!("{base}/namespaces/{namespace}/rolebindings");
        cluster.create(&path, &binding).succeeds();
    }
    let token = cluster.token(&namespace, "ocisign");
    world.sandbox.write("kubeconfig", cluster.kubeconfig(&token));
    world.serve("--kubeconfig kubeconfig");
    world.register(&[Hook::Validate], |_| {});
}

#[test]
fn secrets_of_both_types_open_a_private_registry() {
    let Some(p) = Private::new("both-types", true) else { return };
    p.secret("new", false, &[(&p.host, "secret")]);
    p.secret("old", true, &[(&p.host, "secret")]);
    p.secret("other", false, &[("registry.example", "secret")]);
    p.create("new", &["new"], "").succeeds();
    p.create("old", &["old"], "").succeeds();
    p.create("several", &["missing", "other", "old"], "").succeeds();
    let reply = p.create("missing", &["missing"], "");
    let message = reply.denied();
    assert!(message.contains("undecided"), "{message}");
    assert!(message.contains("`both-types/missing`"), "{message}");
}

#[test]
fn the_secrets_of_the_service_account_are_a_pod_s_too() {
    let Some(p) = Private::new("account", true) else { return };
    p.secret("regcred", false, &[(&p.host, "secret")]);
    for (name, secrets) in [("app", json!([{"name": "regcred"}])), ("plain", json!([]))] {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name}, "imagePullSecrets": secrets});
        p.world.cluster.create(&p.world.collection("ServiceAccount"), &account).succeeds();
    }
    p.create("app", &[], "app").succeeds();
    assert!(p.create("plain", &[], "plain").denied().contains("undecided"));
}

#[test]
fn a_rotated_secret_counts_within_seconds() {
    let Some(p) = Private::new("rotated", true) else { return };
    p.secret("regcred", false, &[(&p.host, "old")]);
    assert!(p.create("app", &["regcred"], "").denied().contains("undecided"));
    let rotated = pull_secret("regcred", false, &[(&p.host, "secret")]);
    p.world.cluster.replace(&p.world.path("Secret", "regcred"), &rotated).succeeds();
    let time = Duration::from_secs(10);
    assert!(eventually(time, || p.create("app", &["regcred"], "").status == 201));
}

#[test]
fn without_the_right_to_read_it_a_secret_is_named_in_the_denial() {
    let Some(p) = Private::new("no-rights", false) else { return };
    p.secret("regcred", false, &[(&p.host, "secret")]);
    let reply = p.create("app", &["regcred"], "");
    let message = reply.denied();
    for part in ["undecided", "`no-rights/", "403", "`get`"] {
        assert!(message.contains(part), "no `{part}` in {message}");
    }
    // an image that needs no credentials needs no rights
    let open = pod_with("open", &p.world.signed, &["regcred"], "");
    p.world.cluster.create(&p.world.collection("Pod"), &open).succeeds();
}

#[test]
fn what_is_asked_of_the_api_is_get_by_name() {
    let Some(p) = Private::new("least", true) else { return };
    p.secret("regcred", false, &[(&p.host, "secret")]);
    p.create("app", &["regcred"], "").succeeds();
    let own = |line: &Value| line["user"]["username"] == "system:serviceaccount:least:ocisign";
    let asked: std::collections::BTreeSet<String> = p
        .world
        .cluster
        .audited("least")
        .iter()
        .filter(|line| own(line))
        .map(|line| {
            let [verb, resource, name] =
                [&line["verb"], &line["objectRef"]["resource"], &line["objectRef"]["name"]]
                    .map(|text| text.as_str().unwrap());
            format!("{verb} {resource} {name}")
        })
        .collect();
    let want = ["get secrets regcred", "get serviceaccounts default"];
    assert_eq!(asked, want.map(str::to_owned).into());
}

#[test]
fn without_a_cluster_it_serves_only_where_secrets_are_not_insisted_on() {
    let Some(w) = World::new("insists") else { return };
    let serve = "serve --policy policy.json --tls-cert tls.crt --tls-key tls.key \
                 --listen 127.0.0.1:0";
    w.sandbox.ocisign(&format!("{serve} --pull-secrets on")).exits(2).says("is no pod");
    w.sandbox.write("broken", "no kubeconfig");
    for insisting in ["--kubeconfig broken", "--kubeconfig none"] {
        w.sandbox.ocisign(&format!("{serve} {insisting}")).exits(2).says("kubeconfig `");
    }
}

#[test]
fn a_secret_that_cannot_be_understood_is_undecided_and_not_shown() {
    let Some(p) = Private::new("not-understood", true) else { return };
    let secret = |name: &str, text: &str| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": STANDARD.encode(text)}});
        p.world.cluster.create(&p.world.collection("Secret"), &secret).succeeds();
    };
    // what the API server lets through: JSON of another shape, a helper
    secret("shape", r#"{"auths": {"a.example": "hunter2"}}"#);
    secret("helper", r#"{"auths": {}, "credsStore": "../../tmp/hunter2"}"#);
    let reply = p.create("shape", &["shape"], "");
    let message = reply.denied();
    assert!(message.contains("undecided") && !message.contains("\"hunter2"), "{message}");
    assert!(message.contains("`not-understood/shape`"), "{message}");
    let reply = p.create("helper", &["helper"], "");
    assert!(reply.denied().contains("no program that a secret names is run"), "{reply:#?}");
}

#[test]
fn a_credential_goes_to_its_own_registry_alone() {
    let Some(p) = Private::new("own-registry", true) else { return };
    // it asks everybody for a password, and records what it is shown
    let options = Options { auth: Auth::Basic, ..Options::default() };
    let curious = Registry::start(options);
    p.secret("regcred", false, &[(&p.host, "secret"), ("registry.example", "secret")]);
    let pod = pod_with("app", &format!("{}/app:v1", curious.host()), &["regcred"], "");
    let reply = p.world.cluster.create(&p.world.collection("Pod"), &pod);
    assert!(reply.denied().contains("undecided"), "{reply:#?}");
    let requests = curious.requests();
    assert!(!requests.is_empty());
    for request in &requests {
        assert_eq!(request.header("authorization"), None, "{request:?}");
    }
    // and its own sees that of its own entry
    p.secret("theirs", false, &[(&p.host, "other"), (&curious.host(), "secret")]);
    let pod = pod_with("app", &format!("{}/app:v1", curious.host()), &["theirs"], "");
    p.world.cluster.create(&p.world.collection("Pod"), &pod).denied();
    let shown: Vec<String> = curious
        .requests()
        .iter()
        .filter_map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    assert!(!shown.is_empty());
    assert!(shown.iter().all(|shown| *shown == format!("Basic {}", auth("secret"))), "{shown:?}");
}

#[test]
fn an_api_server_that_is_gone_is_undecided() {
    let Some(mut w) = World::new("gone") else { return };
    let nobody = format!("https://127.0.0.1:{}", free_port());
    let config = w.cluster.kubeconfig("admin").replace(w.cluster.url(), &nobody);
    w.sandbox.write("kubeconfig", config);
    w.serve("--kubeconfig kubeconfig");
    w.register(&[Hook::Validate], |_| {});
    let pod = pod_with("app", &w.signed, &["regcred"], "");
    let reply = w.cluster.create(&w.collection("Pod"), &pod);
    let message = reply.denied();
    assert!(message.contains("undecided") && message.contains("API server"), "{message}");
}
