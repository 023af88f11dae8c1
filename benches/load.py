#!/usr/bin/env python3
"""The admission webhook under load: `ocisign serve` on one machine with its registry and the load generator.

    cargo build --release && python3 benches/load.py > table.md

Needs the peers in OCISIGN_PEERS (crane, cosign, referrers-registry), openssl, hey, and a quiet machine. Latencies come from
the load generator, memory from the kernel (VmHWM of the whole process). Figures of different machines do not compare:
read the ratios to the limits and to the peer.
"""
import concurrent.futures
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OCISIGN = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "ocisign"
PEERS = Path(os.environ.get("OCISIGN_PEERS", Path.home() / ".cache/ocisign-peers"))
ENV = {**os.environ, "COSIGN_PASSWORD": "", "OCISIGN_PASSWORD": ""}
RATE, WORKERS, SECONDS = 1000, 50, 20
IMAGES = 1000
VERIFIED = r'ocisign_work_duration_seconds_count\{[^}]*"verify"'
P99_LIMIT_MS, MEMORY_LIMIT_MIB = 5.0, 128.0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command):
    subprocess.run(command, env=ENV, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def listening(port):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


class Registry:
    """A registry on loopback, filled over its own protocol."""

    def __init__(self):
        self.port = free_port()
        self.process = subprocess.Popen([PEERS / "referrers-registry", str(self.port)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        listening(self.port)

    def put(self, path, data, kind):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": kind}, method="PUT")
        urllib.request.urlopen(request).close()

    def blob(self, repository, data, kind):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        start = urllib.request.Request(f"http://127.0.0.1:{self.port}/v2/{repository}/blobs/uploads/", b"", method="POST")
        with urllib.request.urlopen(start) as answer:
            place = answer.headers["Location"].removeprefix(f"http://127.0.0.1:{self.port}")
        self.put(f"{place}{'&' if '?' in place else '?'}digest={digest}", data, "application/octet-stream")
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def image(self, repository, name):
        """A one-layer image that differs from every other by its config; its reference by digest."""
        layer = self.blob(repository, b"layer\n" * 1000, "application/vnd.oci.image.layer.v1.tar")
        config = {"architecture": "amd64", "os": "linux", "author": name,
                  "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob(repository, json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": [layer]}).encode()
        self.put(f"/v2/{repository}/manifests/{name}", manifest, "application/vnd.oci.image.manifest.v1+json")
        return f"127.0.0.1:{self.port}/{repository}:{name}@sha256:{hashlib.sha256(manifest).hexdigest()}"


class Webhook:
    """`ocisign serve`, as a deployment runs it."""

    def __init__(self, work, policy, *options):
        self.port = free_port()
        self.log = open(work / "serve.log", "ab")
        self.process = subprocess.Popen(
            [OCISIGN, "serve", "--policy", policy, "--tls-cert", work / "tls.crt", "--tls-key", work / "tls.key",
             "--listen", f"127.0.0.1:{self.port}", *options], env=ENV, stdout=self.log, stderr=self.log)
        listening(self.port)
        self.context = ssl.create_default_context(cafile=work / "tls.crt")
        self.local = threading.local()

    def ask(self, body):
        """One review over this thread's connection: (allowed, seconds)."""
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection("localhost", self.port, context=self.context)
        start = time.perf_counter()
        self.local.connection.request("POST", "/validate?timeout=30s", body, {"Content-Type": "application/json"})
        answer = json.loads(self.local.connection.getresponse().read())
        if not answer["response"]["allowed"]:
            sys.exit(f"denied: {answer['response']['status']['message']}")
        return time.perf_counter() - start

    def metric(self, pattern):
        with urllib.request.urlopen(f"https://localhost:{self.port}/metrics", context=self.context) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(pattern, line))

    def peak_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def review(images, uid="bench"):
    """The review of a new pod with one container for each image."""
    containers = [{"name": f"c{i}", "image": image} for i, image in enumerate(images)]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": containers}}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": uid, "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "name": "p", "namespace": "default",
        "operation": "CREATE", "userInfo": {"username": "bench"}, "object": pod, "oldObject": None, "dryRun": False,
        "options": None}}).encode()


def hey(webhook, work, body, path="/validate"):
    """RATE requests a second for SECONDS: (requests a second, percentiles in ms, statuses)."""
    (work / "body.json").write_bytes(body)
    out = subprocess.run(["hey", "-z", f"{SECONDS}s", "-c", str(WORKERS), "-q", str(RATE // WORKERS), "-m", "POST",
                          "-T", "application/json", "-host", "localhost", "-D", work / "body.json", f"https://127.0.0.1:{webhook.port}{path}?timeout=10s"],
                         capture_output=True, text=True, check=True).stdout
    percentiles = {int(p): float(s) * 1000 for p, s in re.findall(r"(\d+)%+ in ([\d.]+) secs", out)}
    statuses = dict(re.findall(r"\[(\d+)\]\s+(\d+) responses", out))
    if set(statuses) != {"200"}:
        sys.exit(f"not every request was answered:\n{out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), percentiles


def warm(webhook, work, images):
    print(f"\n### Warm: {RATE} reviews a second for {SECONDS} s, {WORKERS} connections, TLS, generator on the same cores\n")
    print("| review | requests/s | p50 | p95 | p99 | p99 against the limit of 5 ms | process memory |\n|---|---|---|---|---|---|---|")
    tag = images[0].split("@")[0]
    for name, body, path in [
        ("one image, pinned", review(images[:1]), "/validate"),
        ("eight different images, pinned", review(images[:8]), "/validate"),
        ("one image by tag, resolved anew, patched", review([tag]), "/mutate"),
    ]:
        webhook.ask(body)
        rate, p = hey(webhook, work, body, path)
        print(f"| {name} | {rate:.0f} | {p[50]:.2f} ms | {p[95]:.2f} ms | {p[99]:.2f} ms | {p[99] / P99_LIMIT_MS:.2f} | {webhook.peak_mib():.1f} MiB |")


def eight(webhook, image):
    before = webhook.metric(VERIFIED)
    took = webhook.ask(review([image] * 8))
    done = webhook.metric(VERIFIED) - before
    print(f"\n### A pod of eight containers with one image, cold\n\n{done:.0f} verification, {took * 1000:.1f} ms.")


def cold(webhook, images, key):
    bodies = [review([image], uid=str(i)) for i, image in enumerate(images)]
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        times = sorted(pool.map(webhook.ask, bodies))
    wall = time.perf_counter() - start
    peak = webhook.peak_mib()
    cosign = time.perf_counter()
    for image in images[:20]:
        run(PEERS / "cosign", "verify", "--key", key, "--insecure-ignore-tlog", image)
    cosign = (time.perf_counter() - cosign) / 20
    print(f"\n### Cold: {len(images)} distinct images from a registry on loopback, 64 requests at once\n")
    print("| | per image | against cosign verify | slowest request | process memory | against the limit of 128 MiB |\n|---|---|---|---|---|---|")
    print(f"| cosign verify, one after another | {cosign * 1000:.1f} ms | 1.00 | | | |")
    print(f"| ocisign serve | {wall / len(images) * 1000:.1f} ms | {wall / len(images) / cosign:.2f} | {times[-1] * 1000:.0f} ms | {peak:.1f} MiB | {peak / MEMORY_LIMIT_MIB:.2f} |")


def main():
    work = Path(tempfile.mkdtemp(prefix="ocisign-load-"))
    registry = Registry()
    try:
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", work / "tls.key", "-out", work / "tls.crt", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        run(OCISIGN, "-q", "key", "generate", "--output", work / "k")
        images = [registry.image(f"team{i % 10}/app", f"v{i}") for i in range(IMAGES)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda image: run(OCISIGN, "-q", "sign", "--key", work / "k.key", image), images))
        (work / "policy.json").write_text(json.dumps({
            "ocisign": "policy/1", "name": "load", "signers": {"k": {"keys": [{"file": "k.pub"}]}},
            "rules": [{"id": "all", "scope": ["**"], "require": [
                {"id": "signed", "signed": {"by": ["k"], "atLeast": 1, "reference": "repository"}}]}]}))
        webhook = Webhook(work, work / "policy.json")
        cold(webhook, images, work / "k.pub")
        webhook.stop()
        webhook = Webhook(work, work / "policy.json")
        eight(webhook, images[0])
        warm(webhook, work, images)
        webhook.stop()
    finally:
        registry.process.kill()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
