#!/usr/bin/env python3
"""Writes tests/data/reviews: AdmissionReviews, each in the directory of what must happen to it.

    bad/         no review; NAME.txt has a part of the reason
    unreadable/  a review whose images cannot be told; NAME.txt has a part of the reason
    nothing/     no image, and no look at the object; NAME.txt has the reason
    planned/     images; NAME.txt has a line for each: what happens to it, where, which

Each NAME.json is what an API server would send, or somebody who wants the webhook to read something else. The lines
are written by hand, from what Kubernetes says of its kinds; they were not taken from what ocisign answers.
"""
import json
import pathlib
import shutil

HERE = pathlib.Path(__file__).parent / "reviews"
A, B, C, V = (f"registry.example/{name}:v1" for name in ("app", "init", "debug", "data"))
PIN = "sha256:" + "1" * 64
PIN2 = "sha256:" + "2" * 64
PINNED = f"registry.example/app:v1@{PIN}"


def write(what, name, body, expected):
    folder = HERE / what
    folder.mkdir(parents=True, exist_ok=True)
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=True) + "\n"
    (folder / f"{name}.json").write_text(text)
    lines = expected if isinstance(expected, list) else [expected]
    (folder / f"{name}.txt").write_text("".join(line + "\n" for line in lines))


def container(name="app", image=A, **more):
    return {"name": name, "image": image, **more}


def spec(*containers, **more):
    return {"containers": list(containers) or [container()], **more}


def full():
    return spec(
        container(env=[{"name": "image", "value": "decoy.example/env:v1"}]),
        initContainers=[container("init", B), container("sidecar", B, restartPolicy="Always")],
        ephemeralContainers=[container("debug", C, targetContainerName="app")],
        volumes=[
            {"name": "data", "image": {"reference": V, "pullPolicy": "IfNotPresent"}},
            {"name": "config", "configMap": {"name": "image"}},
            {"name": "csi", "csi": {"driver": "d", "volumeAttributes": {"Image": "decoy.example/csi:v1"}}},
        ],
        nodeSelector={"Image": "decoy"},
        imagePullSecrets=[{"name": "one"}, {"name": "two"}, {"name": "one"}, {}],
        serviceAccountName="builder",
    )


FULL = [
    f"judge container `app`: {A}",
    f"judge init container `init`: {B}",
    f"judge init container `sidecar`: {B}",
    f"judge ephemeral container `debug`: {C}",
    f"judge image volume `data`: {V}",
]


def thing(version, kind, body, **meta):
    labels = {"Image": "decoy.example/label:v1", "Spec": "decoy"}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x", "labels": labels, **meta}, **body}


def pod(pod_spec=None, **meta):
    return thing("v1", "Pod", {"spec": pod_spec if pod_spec is not None else spec()}, **meta)


def template(pod_spec):
    return {"metadata": {"labels": {"app": "x"}}, "spec": pod_spec}


def deployment(pod_spec, replicas=1, **meta):
    return thing("apps/v1", "Deployment", {"spec": {"replicas": replicas, "template": template(pod_spec)}}, **meta)


def review(obj, old=None, operation="CREATE", resource=None, sub=None, kind=None, **more):
    of = kind or obj or old
    group, _, version = of["apiVersion"].rpartition("/")
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": group, "version": version, "kind": of["kind"]},
        "resource": {"group": group, "version": version, "resource": resource or of["kind"].lower() + "s"},
        "requestKind": {"group": group, "version": version, "kind": of["kind"]},
        "requestResource": {"group": group, "version": version, "resource": resource or of["kind"].lower() + "s"},
        "name": "x",
        "namespace": "team",
        "operation": operation,
        "userInfo": {"username": "ana", "extra": {"Image": ["decoy"]}},
        "object": obj,
        "oldObject": old,
        "dryRun": False,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": f"{operation.title()}Options"},
    }
    if sub:
        request["subResource"] = request["requestSubResource"] = sub
    request.update(more)
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def every_kind():
    kinds = [
        ("v1", "Pod", lambda s: {"spec": s}),
        ("v1", "PodTemplate", lambda s: {"template": template(s)}),
        ("v1", "ReplicationController", lambda s: {"spec": {"template": template(s)}}),
        ("apps/v1", "ReplicaSet", lambda s: {"spec": {"template": template(s)}}),
        ("apps/v1", "Deployment", lambda s: {"spec": {"template": template(s)}}),
        ("apps/v1", "StatefulSet", lambda s: {"spec": {"template": template(s)}}),
        ("apps/v1", "DaemonSet", lambda s: {"spec": {"template": template(s)}}),
        ("batch/v1", "Job", lambda s: {"spec": {"template": template(s)}}),
        ("batch/v1", "CronJob", lambda s: {"spec": {"jobTemplate": {"spec": {"template": template(s)}}}}),
    ]
    for version, kind, body in kinds:
        write("planned", f"create-{kind.lower()}", review(thing(version, kind, body(full()))), FULL)


def subresources():
    debug = pod(spec(container(), ephemeralContainers=[container("debug", C)]))
    write("planned", "ephemeral-container", review(debug, pod(), "UPDATE", "pods", "ephemeralcontainers"), [
        f"judge-unchanged container `app`: {A}",
        f"judge ephemeral container `debug`: {C}",
    ])
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "x"}, "spec": {"replicas": 3}}
    none = "the subresource carries no image"
    for name in ("deployments", "statefulsets", "replicationcontrollers", "rollouts"):
        write("nothing", f"scale-{name}", review(scale, scale, "UPDATE", name, "scale"), none)
    for sub in ("status", "resize"):
        write("nothing", f"pod-{sub}", review(pod(), pod(), "UPDATE", "pods", sub), none)
    write("nothing", "status-of-any-kind", review(thing("x.example/v1", "Thing", {}), None, "UPDATE", "things", "status"), none)
    binding = thing("v1", "Binding", {"target": {"kind": "Node", "name": "n"}})
    write("nothing", "pod-binding", review(binding, None, "CREATE", "pods", "binding"), none)
    eviction = thing("policy/v1", "Eviction", {})
    body = review(eviction, None, "CREATE", "pods", "eviction")
    body["request"]["resource"] = {"group": "", "version": "v1", "resource": "pods"}
    write("nothing", "pod-eviction", body, none)
    for sub in ("exec", "attach", "portforward", "proxy"):
        options = {"apiVersion": "v1", "kind": f"Pod{sub.title()}Options", "stdin": True}
        write("nothing", f"connect-{sub}", review(options, None, "CONNECT", "pods", sub), "a connection starts no image")
    gone = "a removal starts no image"
    write("nothing", "delete-pod", review(None, pod(), "DELETE"), gone)
    write("nothing", "delete-any-kind", review(None, thing("x.example/v1", "Thing", {}), "DELETE"), gone)
    write("unreadable", "subresource-unknown", review(pod(), pod(), "UPDATE", "pods", "surprise"), "`pods/surprise`")
    other = review(pod(), pod(), "UPDATE", "things", "ephemeralcontainers")
    write("unreadable", "subresource-of-another-resource", other, "`things/ephemeralcontainers`")
    grouped = review(pod(), pod(), "UPDATE", "pods", "resize")
    grouped["request"]["resource"]["group"] = "metrics.example"
    write("unreadable", "pods-of-another-group", grouped, "`pods/resize`")


def updates():
    def case(name, new, old, lines):
        write("planned", f"update-{name}", review(new, old, "UPDATE"), lines)

    kept, judged = f"keep container `app`: {PINNED}", f"judge container `app`: {PINNED}"
    old = deployment(spec(container(image=PINNED)))
    case("pinned-stays", deployment(spec(container(image=PINNED))), old, [kept])
    case("scale-down", deployment(spec(container(image=PINNED)), 0), old, [kept])
    other = f"registry.example/app:v1@{PIN2}"
    changed = f"judge container `app`: {other}"
    new = spec(container(image=other))
    case("changed", deployment(new), old, [changed])
    case("changed-and-scaled-to-zero", deployment(new, 0), old, [changed])
    deleted = {"deletionTimestamp": "2030-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0}
    case("changed-while-deleted", deployment(new, **deleted), old, [changed])
    case("changed-with-owner", deployment(new, ownerReferences=[{"kind": "X", "name": "y", "controller": True}]), old, [changed])
    case("unpinned-stays", deployment(spec()), deployment(spec()), [f"judge-unchanged container `app`: {A}"])
    case("tag-changed-digest-same", deployment(spec(container(image=PINNED.replace(":v1@", ":v2@")))), old,
         [f"judge container `app`: {PINNED.replace(':v1@', ':v2@')}"])
    case("renamed", deployment(spec(container("web", PINNED))), old, [f"judge container `web`: {PINNED}"])
    case("moved-to-another-list", deployment(spec(container("other"), initContainers=[container(image=PINNED)])),
         deployment(spec(container(image=PINNED))),
         [f"judge container `other`: {A}", f"judge init container `app`: {PINNED}"])
    two = [container("a", PINNED), container("b", other)]
    case("reordered", deployment(spec(*reversed(two))), deployment(spec(*two)),
         [f"keep container `b`: {other}", f"keep container `a`: {PINNED}"])
    case("swapped", deployment(spec(container("a", other), container("b", PINNED))), deployment(spec(*two)),
         [f"judge container `a`: {other}", f"judge container `b`: {PINNED}"])
    case("inserted-before", deployment(spec(container("new"), container(image=PINNED))), old,
         [f"judge container `new`: {A}", kept])
    case("name-stands-twice", deployment(spec(container(image=PINNED), container(image=PINNED))), old, [judged, judged])
    case("name-stood-twice", deployment(spec(container(image=PINNED))),
         deployment(spec(container(image=PINNED), container(image=PINNED))), [judged])
    case("from-another-kind", deployment(spec(container(image=PINNED))), thing("apps/v1", "ReplicaSet", {"spec": old["spec"]}), [judged])
    case("from-nothing", deployment(spec(container(image=PINNED))), None, [judged])
    broken = deployment({"containers": {"app": {"image": PINNED}}})
    case("from-what-cannot-be-read", deployment(spec(container(image=PINNED))), broken, [judged])
    case("container-added", pod(spec(container(image=PINNED), container("late"))), pod(spec(container(image=PINNED))),
         [kept, f"judge container `late`: {A}"])
    volume = {"name": "data", "image": {"reference": V}}
    case("volume-becomes-image", pod(spec(container(image=PINNED), volumes=[volume])),
         pod(spec(container(image=PINNED), volumes=[{"name": "data", "emptyDir": {}}])),
         [kept, f"judge image volume `data`: {V}"])
    write("planned", "create-with-old-object", review(deployment(spec(container(image=PINNED))), old), [judged])


def texts():
    def judged(name, text, normal):
        write("planned", f"text-{name}", review(pod(spec(container(image=text)))), [f"judge container `app`: {normal}"])

    def refused(name, text):
        body = review(pod(spec(container(image=text))))
        write("planned", f"text-{name}", body, [f"refuse container `app`: {json.dumps(text, ensure_ascii=False)}"])

    judged("short", "nginx", "docker.io/library/nginx:latest")
    judged("short-with-tag", "nginx:1.27", "docker.io/library/nginx:1.27")
    judged("user", "me/app", "docker.io/me/app:latest")
    judged("alias", "index.docker.io/library/nginx:1", "docker.io/library/nginx:1")
    judged("port-443", "registry.example:443/app:v1", "registry.example/app:v1")
    judged("host-upper-case", "Registry.Example/app:v1", "registry.example/app:v1")
    judged("localhost", "localhost/app:v1", "localhost/app:v1")
    judged("digest-alone", f"registry.example/app@{PIN}", f"registry.example/app@{PIN}")
    judged("tag-and-digest", PINNED, PINNED)
    for name, text in {
        "empty": "",
        "space-before": f" {A}",
        "space-after": f"{A} ",
        "line-feed": f"{A}\n",
        "nul": f"{A}\0",
        "control": "registry.example/app\u001b[2K:v1",
        "bidi": "registry.example/\u202eppa:v1",
        "cyrillic": "registry.example/\u0430pp:v1",
        "dotless-i-host": "reg\u0131stry.example/app:v1",
        "fullwidth": "registry\uff0eexample/app:v1",
        "path-upper-case": "registry.example/App:v1",
        "scheme": f"docker://{A}",
        "https": f"https://{A}",
        "image-id": "a" * 64,
        "node-image-id": PIN,
        "node-image-id-prefix": "sha256:1111",
        "digest-short": "registry.example/app@sha256:11",
        "digest-unknown": "registry.example/app@md5:d41d8cd98f00b204e9800998ecf8427e",
        "digest-upper-case": "registry.example/app@sha256:" + "A" * 64,
        "two-digests": f"registry.example/app@{PIN}@{PIN2}",
        "dot-dot": "registry.example/../app:v1",
        "template": "$(IMAGE)",
        "long": "registry.example/" + "a" * 300,
    }.items():
        refused(name, text)
    absent = pod(spec({"name": "app"}))
    write("planned", "text-absent", review(absent), ['refuse container `app`: ""'])
    write("planned", "text-null", review(pod(spec(container(image=None)))), ['refuse container `app`: ""'])
    write("planned", "volume-without-reference", review(pod(spec(volumes=[{"name": "v", "image": {}}]))),
          [f"judge container `app`: {A}", 'refuse image volume `v`: ""'])
    write("planned", "container-without-name", review(pod(spec({"image": A}))),
          [f"judge container `/spec/containers/0/image`: {A}"])


def shapes():
    write("planned", "no-images", review(pod({"containers": []})), [])
    write("planned", "no-spec", review(thing("v1", "Pod", {})), [])
    write("planned", "null-lists", review(pod({"containers": None, "initContainers": None, "volumes": None})), [])
    write("planned", "null-template", review(thing("v1", "ReplicationController", {"spec": {"template": None}})), [])
    write("planned", "null-volume-image", review(pod(spec(volumes=[{"name": "v", "image": None}]))),
          [f"judge container `app`: {A}"])
    write("planned", "pod-spec-elsewhere", review(pod(spec(), annotations={"spec": json.dumps(full())})),
          [f"judge container `app`: {A}"])
    escaped = json.dumps(review(pod())).replace('"containers"', '"\\u0063ontainers"').replace('"image"', '"im\\u0061ge"')
    write("planned", "keys-with-escapes", escaped, [f"judge container `app`: {A}"])

    def unreadable(name, obj, why, **more):
        write("unreadable", name, review(obj, **more), why)

    unreadable("containers-is-an-object", pod({"containers": {"app": container()}}), "`/spec/containers` is no list")
    unreadable("containers-is-a-text", pod({"containers": A}), "`/spec/containers` is no list")
    unreadable("container-is-a-text", pod({"containers": [A]}), "`/spec/containers/0` is no object")
    unreadable("container-is-null", pod({"containers": [None]}), "`/spec/containers/0` is no object")
    unreadable("image-is-a-number", pod(spec(container(image=7))), "`/spec/containers/0/image` is no text")
    unreadable("image-is-a-list", pod(spec(container(image=[A]))), "`/spec/containers/0/image` is no text")
    unreadable("name-is-a-number", pod(spec(container(name=7))), "`/spec/containers/0/name` is no text")
    unreadable("volume-image-is-a-text", pod(spec(volumes=[{"name": "v", "image": V}])), "`/spec/volumes/0/image` is no object")
    unreadable("spec-is-a-list", pod([]), "`/spec` is no object")
    unreadable("secrets-are-texts", pod(spec(imagePullSecrets=["one"])), "`/spec/imagePullSecrets/0` is no object")
    unreadable("account-is-an-object", pod(spec(serviceAccountName={})), "`/spec/serviceAccountName` is no text")
    unreadable("twin-of-image", pod(spec(container(Image="evil.example/app:v1"))), "`Image` differs from `image`")
    unreadable("twin-of-containers", pod(spec(Containers=[])), "`Containers` differs from `containers`")
    unreadable("twin-of-spec", thing("v1", "Pod", {"spec": spec(), "\u017fpec": spec()}), "differs from `spec`")
    many = [container(f"c{i}") | {"image": f"registry.example/app:v{i}"} for i in range(257)]
    unreadable("too-many-containers", pod({"containers": many}), "more than 256 images")
    unreadable("config-map", thing("v1", "ConfigMap", {"data": {"a": "b"}}), "`v1 ConfigMap` are not known here")
    unreadable("version-unknown", thing("apps/v2", "Deployment", {"spec": {"template": template(spec())}}), "`apps/v2 Deployment`")
    unreadable("group-unknown", thing("evil.example/v1", "Pod", {"spec": spec()}), "`evil.example/v1 Pod`")
    other = thing("apps/v1", "Deployment", {"spec": {"template": template(full())}})
    unreadable("another-kind-inside", other, "the request is about `v1 Pod`", kind=pod())
    unreadable("no-kind-inside", {"metadata": {}, "spec": spec()}, "the request is about `v1 Pod`", kind=pod())
    unreadable("no-object", None, "carries no object", kind=pod())


def custom():
    rollout = thing("argoproj.io/v1alpha1", "Rollout", {"spec": {"template": template(full())}})
    write("planned", "custom-pod-spec", review(rollout), FULL)
    steps = {"spec": {"steps": [{"name": "a", "image": A}, {"name": "b", "script": "x"}], "sidecars": [{"image": B}]}}
    task = thing("tekton.dev/v1", "Task", steps)
    write("planned", "custom-images", review(task), [
        f"judge image `/spec/steps/0/image`: {A}",
        f"judge image `/spec/sidecars/0/image`: {B}",
    ])
    write("planned", "custom-nothing-found", review(thing("tekton.dev/v1", "Task", {"spec": {}})), [])
    keys = {"spec": {"a/b": {"c~d": {"image": A}}}}
    write("planned", "custom-pointer-escapes", review(thing("odd.example/v1", "Odd", keys)),
          [f"judge image `/spec/a~1b/c~0d/image`: {A}"])
    pinned = {"spec": {"steps": [{"image": PINNED}, {"image": A}]}}
    write("planned", "custom-update", review(thing("tekton.dev/v1", "Task", pinned), thing("tekton.dev/v1", "Task", pinned), "UPDATE"), [
        f"keep image `/spec/steps/0/image`: {PINNED}",
        f"judge-unchanged image `/spec/steps/1/image`: {A}",
    ])

    def unreadable(name, kind, body, why):
        write("unreadable", f"custom-{name}", review(thing(kind[0], kind[1], body)), why)

    tekton, argo = ("tekton.dev/v1", "Task"), ("argoproj.io/v1alpha1", "Rollout")
    unreadable("image-is-a-number", tekton, {"spec": {"steps": [{"image": 7}]}}, "`/spec/steps/0/image` is no text")
    unreadable("image-is-null", tekton, {"spec": {"steps": [{"image": None}]}}, "`/spec/steps/0/image` is no text")
    unreadable("pod-spec-is-a-text", argo, {"spec": {"template": {"spec": "x"}}}, "`/spec/template/spec` is no pod spec")
    unreadable("twin", tekton, {"spec": {"Steps": [{"image": A}]}}, "`Steps` differs from `steps`")
    data = {"data": {"image": A, "Image": "evil.example/app:v1"}}
    unreadable("twin-in-a-map-that-is-read", ("map.example/v1", "Map"), data, "`Image` differs from `image`")
    unreadable("version-not-named", ("tekton.dev/v1beta1", "Task"), {}, "`tekton.dev/v1beta1 Task`")
    long = {"spec": {"k" * 2000: {"image": A}}}
    unreadable("long-keys", ("odd.example/v1", "Odd"), long, "below keys of more than 1024 bytes")


PLACES = {
    "ocisign": "image-places/1",
    "kinds": [
        {"group": "argoproj.io", "kind": "Rollout", "podSpecs": ["$.spec.template.spec"], "images": []},
        {"group": "tekton.dev", "version": "v1", "kind": "Task", "images": ["$.spec.steps[*].image", "$.spec.sidecars[*].image"]},
        {"group": "map.example", "kind": "Map", "images": ["$.data.image"]},
        {"group": "odd.example", "kind": "Odd", "images": ["$.spec..image"]},
    ],
}


def bad():
    def broken(which, why, answers=True, /, **more):
        body = review(pod())
        for key, value in more.items():
            body["request"][key] = value
            if value is ...:
                del body["request"][key]
        write("bad", which, body, [why, "uid" if answers else "no uid"])

    whole = json.dumps(review(pod()))

    def raw(name, text, why, uid):
        write("bad", name, text, [why, "uid" if uid else "no uid"])

    raw("empty", "", "malformed JSON", False)
    raw("not-json", "hello", "malformed JSON", False)
    raw("cut-short", whole[:-20], "malformed JSON", False)
    raw("text-after", whole + "x", "malformed JSON", False)
    raw("a-list", f"[{whole}]", "is a JSON object", False)
    raw("null", "null", "is a JSON object", False)
    deep = "[" * 200 + "]" * 200
    raw("deep", whole.replace('"dryRun": false', f'"dryRun": false, "x": {deep}'), "nests deeper than 64", True)
    raw("deep-object", whole.replace('"labels"', '"deep": ' + "[" * 70 + "]" * 70 + ', "labels"'), "nests deeper than 64", True)
    raw("image-twice", whole.replace('"image": ', '"image": "evil.example/app:v1", "image": ', 1), "stands twice", True)
    raw("containers-twice", whole.replace('"containers"', '"containers": [], "containers"'), "stands twice", True)
    raw("image-twice-by-escape", whole.replace('"image": ', '"im\\u0061ge": "evil.example/app:v1", "image": ', 1), "stands twice", True)
    raw("uid-twice", whole.replace('"uid"', '"uid": "a", "uid"'), "stands twice", False)
    raw("object-twice", whole.replace('"object"', '"object": null, "object"'), "stands twice", True)
    raw("half-surrogate", whole.replace('"team"', '"\\ud800"'), "half of a surrogate", True)
    raw("twin-of-object", whole.replace('"object"', '"Object": null, "object"'), "`Object` at `/request` differs from `object`", True)
    raw("twin-of-request", whole.replace('"request"', '"Request": null, "request"'), "differs from `request`", True)
    raw("version-v1beta1", whole.replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), "`apiVersion` is not", True)
    raw("kind-other", whole.replace("AdmissionReview", "ConversionReview"), "`kind` is not", True)
    raw("no-request", '{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}', "no `request`", False)
    raw("request-is-a-list", '{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": []}', "no `request`", False)
    broken("uid-missing", "/request/uid", False, uid=...)
    broken("uid-empty", "/request/uid", False, uid="")
    broken("uid-number", "/request/uid", False, uid=7)
    broken("uid-with-line-feed", "/request/uid", False, uid="a\nb")
    broken("uid-long", "/request/uid", False, uid="a" * 200)
    broken("kind-missing", "/request/kind", kind=...)
    broken("kind-empty", "/request/kind", kind={"group": "", "version": "", "kind": ""})
    broken("resource-missing", "/request/resource", resource=...)
    broken("operation-missing", "no operation", operation=...)
    broken("operation-unknown", "`PATCH` is no operation", operation="PATCH")
    broken("operation-lower-case", "no operation", operation="create")
    broken("namespace-a-path", "no name of a namespace", namespace="../kube-system")
    broken("name-long", "no text of at most 253", name="a" * 300)
    broken("dry-run-a-text", "neither true nor false", dryRun="true")
    broken("object-a-text", "`/request/object` is no object", object="x")
    broken("old-object-a-list", "`/request/oldObject` is no object", oldObject=[])
    broken("sub-resource-a-list", "/request/subResource", subResource=["status"])


if __name__ == "__main__":
    for folder in ("bad", "unreadable", "nothing", "planned"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    HERE.mkdir(exist_ok=True)
    (HERE / "places.json").write_text(json.dumps(PLACES, indent=2) + "\n")
    for group in (every_kind, subresources, updates, texts, shapes, custom, bad):
        group()
