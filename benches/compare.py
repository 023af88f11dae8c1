#!/usr/bin/env python3
"""ocisign beside its peers, in one run: wall time, CPU time and peak memory.

    cargo build --release && python3 benches/compare.py > table.md

Needs the peers in OCISIGN_PEERS (cosign, crane, referrers-registry), openssl, gzip, GNU time and skopeo, about 6
GiB in TMPDIR, and a quiet machine. Figures of different runs or machines do not compare: read the ratios.
"""
import gzip
import hashlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
OCISIGN = TARGET / "release" / "ocisign"
PEERS = Path(os.environ.get("OCISIGN_PEERS", Path.home() / ".cache/ocisign-peers"))
MIB = 1 << 20
OCI = "application/vnd.oci.image."


def run(command, env=None, check=True):
    """One process: (wall seconds, CPU seconds)."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env,
                             shell=isinstance(command, str), executable="/bin/bash" if isinstance(command, str) else None)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if check and status != 0:
        sys.exit(f"failed ({status}): {command}")
    return wall, usage.ru_utime + usage.ru_stime


def peak(command, env=None):
    """Peak resident KiB of one process and its children.

    A child's peak begins with what it was forked from, so a small process (GNU time) must start it, not this one.
    """
    if isinstance(command, str):
        command = ["/bin/bash", "-c", command]
    with tempfile.NamedTemporaryFile("r") as out:
        subprocess.run(["/usr/bin/time", "-f", "%M", "-o", out.name, *command], env=env, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return int(out.read().split()[-1])


def measure(commands, rounds, env=None):
    """The commands in turn, so that a slow moment of the machine hits all of them."""
    runs = {name: [] for name in commands}
    for command in commands.values():
        run(command, env)  # warm: page cache, lazily made files
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(run(command, env))
    return {name: (statistics.median(r[0] for r in rs), statistics.median(r[1] for r in rs), peak(commands[name], env))
            for name, rs in runs.items()}


def table(title, results, baseline, command):
    print(f"\n### {title}\n\n{command}\n\n| | wall | CPU | peak memory | wall against {baseline} |\n|---|---|---|---|---|")
    base = results[baseline][0]
    for name, (wall, cpu, peak) in results.items():
        print(f"| {name} | {wall * 1000:.1f} ms | {cpu * 1000:.1f} ms | {peak / 1024:.1f} MiB | {wall / base:.2f} |")


class Layout:
    """A one-image OCI layout, written as plainly as the format allows."""

    def __init__(self, path):
        self.path = Path(path)
        (self.path / "blobs/sha256").mkdir(parents=True)
        (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, media_type, data):
        digest = hashlib.sha256(data).hexdigest()
        (self.path / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def image(self, layers, diff_ids, tag):
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "layers": layers,
                               "config": self.blob(OCI + "config.v1+json", config.encode())})
        entry = self.blob(OCI + "manifest.v1+json", manifest.encode())
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [entry]}))


def tar_of(name, data):
    import io
    import tarfile
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def text(size, seed):
    """Text-like bytes that compress about as a layer of programs does (2 to 3 times)."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(3, 12)) for _ in range(4096)]
    out = bytearray()
    while len(out) < size:
        out += b"".join(rng.choice(words) for _ in range(4096))
    return bytes(out[:size])


def layers_uncompressed(work):
    layout = Layout(work / "plain")
    layers, diffs = [], []
    for i in range(8):
        data = tar_of(f"layer{i}", os.urandom(256 * MIB - 2048))
        layers.append(layout.blob(OCI + "layer.v1.tar", data))
        diffs.append(layers[-1]["digest"])
    layout.image(layers, diffs, "big")
    blobs = " ".join(str(layout.path / "blobs/sha256" / d.split(":")[1]) for d in diffs)
    results = measure({
        "openssl, two at a time": f"printf '%s\\n' {blobs} | xargs -P 2 -n 1 openssl dgst -sha256",
        "ocisign tree --depth layers": [str(OCISIGN), "-q", "tree", "--depth", "layers", f"oci:{layout.path}:big"],
    }, 5)
    table("Hashing: 2 GiB in eight layers, page cache", results, "openssl, two at a time",
          "`ocisign tree --depth layers` beside `openssl dgst -sha256` over the same files, run two at a time.")
    shutil.rmtree(layout.path)


def layers_gzip(work):
    layout = Layout(work / "gzip")
    layers, diffs = [], []
    for i in range(8):
        data = tar_of(f"layer{i}", text(64 * MIB, i))
        diffs.append("sha256:" + hashlib.sha256(data).hexdigest())
        layers.append(layout.blob(OCI + "layer.v1.tar+gzip", gzip.compress(data, 6, mtime=0)))
    layout.image(layers, diffs, "big")
    blobs = " ".join(str(layout.path / "blobs/sha256" / d["digest"].split(":")[1]) for d in layers)
    results = measure({
        "gzip -dc, sha256sum, two at a time": f"printf '%s\\n' {blobs} | xargs -P 2 -I@ sh -c 'gzip -dc < @ | sha256sum'",
        "skopeo copy to a directory": f"rm -rf {work}/copied; skopeo copy --dest-decompress oci:{layout.path}:big dir:{work}/copied",
        "ocisign tree --depth contents": [str(OCISIGN), "-q", "tree", "--depth", "contents", f"oci:{layout.path}:big"],
    }, 3)
    table("Decompressing: 512 MiB of tar in eight gzip layers", results, "gzip -dc, sha256sum, two at a time",
          "`ocisign tree --depth contents` hashes each layer compressed and decompressed against `diff_ids`.")
    shutil.rmtree(layout.path)


def archive(path, entries):
    """A tar of (name, bytes), written as it comes."""
    import io
    import tarfile
    with tarfile.open(path, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def archives(work):
    aci = work / "app.aci"
    manifest = json.dumps({"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/app",
                           "labels": [{"name": "os", "value": "linux"}, {"name": "arch", "value": "amd64"}]})
    files = ((f"rootfs/file{i}", os.urandom(64 * MIB)) for i in range(16))
    archive(aci, [("manifest", manifest.encode()), ("rootfs", None), *files])
    results = measure({
        "sha512sum": ["sha512sum", aci],
        "ocisign tree aci:": [str(OCISIGN), "-q", "tree", f"aci:{aci}"],
    }, 5)
    table("An ACI of 1 GiB", results, "sha512sum",
          "The file's SHA-256 and SHA-512 and the image ID, beside `sha512sum` over the same file.")
    packed = work / "packed.aci"
    subprocess.run(f"gzip -1 < {aci} > {packed}", shell=True, check=True)
    results = measure({
        "gzip -dc, sha512sum": f"gzip -dc < {packed} | sha512sum",
        "ocisign tree aci:": [str(OCISIGN), "-q", "tree", f"aci:{packed}"],
    }, 3)
    table("The same in gzip", results, "gzip -dc, sha512sum", "The same beside `gzip -dc | sha512sum`.")
    aci.unlink()
    packed.unlink()

    layers = [tar_of(f"layer{i}", os.urandom(256 * MIB - 2048)) for i in range(4)]
    diffs = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}}).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    entries = [(f"{i}/layer.tar", layer) for i, layer in enumerate(layers)]
    names = json.dumps([{"Config": name, "RepoTags": ["app:v1"], "Layers": [name for name, _ in entries]}]).encode()
    docker = work / "docker.tar"
    archive(docker, [*entries, (name, config), ("manifest.json", names)])
    v1 = work / "v1.tar"
    ids = [f"{i + 1:064x}" for i in range(4)]
    images = []
    for i, layer in enumerate(layers):
        image = {"id": ids[i], **({"parent": ids[i - 1]} if i else {}), "os": "linux", "architecture": "amd64"}
        images += [(f"{ids[i]}/VERSION", b"1.0"), (f"{ids[i]}/json", json.dumps(image).encode()), (f"{ids[i]}/layer.tar", layer)]
    archive(v1, [*images, ("repositories", json.dumps({"app": {"v1": ids[3]}}).encode())])
    for kind, path in (("docker save since 1.10", docker), ("Docker v1", v1)):
        results = measure({
            "sha256sum": ["sha256sum", path],
            "ocisign tree docker-archive:": [str(OCISIGN), "-q", "tree", f"docker-archive:{path}"],
        }, 5)
        table(f"An archive of 1 GiB, {kind}", results, "sha256sum", "Beside `sha256sum` over the same file.")
    out = work / "converted"
    results = measure({
        "sha256sum": ["sha256sum", v1],
        "ocisign convert": f"rm -rf {out} && {OCISIGN} -q convert docker-archive:{v1} oci:{out}:v1",
    }, 3)
    table("Converting that of Docker v1", results, "sha256sum", "Reads the file twice and writes every layer.")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def verify(work):
    layout = Layout(work / "small")
    data = tar_of("hello", b"hello\n" * 1000)
    layout.image([layout.blob(OCI + "layer.v1.tar", data)], ["sha256:" + hashlib.sha256(data).hexdigest()], "v1")
    port = free_port()
    server = subprocess.Popen([PEERS / "referrers-registry", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    env = {**os.environ, "COSIGN_PASSWORD": "", "OCISIGN_PASSWORD": ""}
    image = f"127.0.0.1:{port}/bench/app:v1"
    try:
        for _ in range(100):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        run([OCISIGN, "-q", "copy", f"oci:{layout.path}:v1", image], env)
        run([OCISIGN, "-q", "key", "generate", "--output", work / "k"], env)
        run([OCISIGN, "-q", "sign", "--key", work / "k.key", image], env)
        results = measure({
            "cosign verify": [PEERS / "cosign", "verify", "--key", work / "k.pub", "--insecure-ignore-tlog", image],
            "ocisign verify": [OCISIGN, "verify", "--key", work / "k.pub", image],
        }, 20, env)
    finally:
        server.kill()
    table("Verifying a signed image in a local registry", results, "cosign verify",
          "`ocisign verify --key` (every byte of the image recomputed) beside `cosign verify --key --insecure-ignore-tlog` "
          "(the signature over one digest), whole processes.")


def main():
    work = Path(tempfile.mkdtemp(prefix="ocisign-bench-"))
    try:
        size = OCISIGN.stat().st_size / MIB
        peer = (PEERS / "cosign").stat().st_size / MIB
        print(f"Binary: ocisign {size:.1f} MiB, cosign {peer:.1f} MiB.")
        chosen = sys.argv[1:] or ["verify", "plain", "gzip", "archives"]
        for name, part in {"verify": verify, "plain": layers_uncompressed, "gzip": layers_gzip,
                           "archives": archives}.items():
            if name in chosen:
                part(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
