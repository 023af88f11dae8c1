#!/usr/bin/env python3
"""Writes seeds/fuzz_docker_v1/old.tar: two images of Docker v1, one on the other."""

import io
import json
import pathlib
import tarfile


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


base, top = "a" * 64, "b" * 64
files = []
for own, parent in [(top, base), (base, None)]:
    document = {"id": own, "os": "linux", "architecture": "amd64", "config": {"Cmd": ["sh"]}}
    if parent:
        document["parent"] = parent
    files += [
        (f"{own}/VERSION", b"1.0"),
        (f"{own}/json", json.dumps(document).encode()),
        (f"{own}/layer.tar", tar([(own[:3], b"content")])[:2048]),
    ]
files.append(("repositories", json.dumps({"app": {"v1": top}}).encode()))
pathlib.Path(__file__).with_name("fuzz_docker_v1").joinpath("old.tar").write_bytes(tar(files))
