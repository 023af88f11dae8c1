#!/bin/sh
# Makes the image layouts beside this file with crane and oras.
#
#   tests/data/layouts/make.sh            (the tools must be on PATH)
#
# The same tools give the same blobs: no time and no random number goes in.
# (oras lists the entries of nested/index.json in any order.)
# What signs demo/ afterwards is not here; after running this, sign it again.
#
#   demo/      OCI index, linux/amd64 and linux/arm64, tag v1; two gzip layers
#              each, of which they share one
#   docker/    the same as a Docker manifest list and schema 2 manifests, as
#              crane writes it: one entry without a tag
#   artifact/  an artifact (oras push): artifactType, the empty config
#   nested/    an index that holds an index (demo's) beside a manifest
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
crane registry serve --address 127.0.0.1:0 >"$work/log" 2>&1 &
registry=$!
trap 'kill $registry; rm -rf "$work"' EXIT
port=
while [ -z "$port" ]; do
    sleep 0.1
    port=$(sed -n 's/.*serving on port \([0-9]*\).*/\1/p' "$work/log")
done
at=127.0.0.1:$port

# layer NAME PATH TEXT: a tar of one file, with nothing of this machine in it.
layer() {
    mkdir -p "$work/$1/$(dirname "$2")"
    printf '%s\n' "$3" >"$work/$1/$2"
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
        --format=ustar -cf "$work/$1.tar" -C "$work/$1" "${2%%/*}"
}
layer base etc/os-release 'NAME=demo'
layer amd64 app/hello 'hello from linux/amd64'
layer arm64 app/hello 'hello from linux/arm64'

# image NAME ARCHITECTURE [FLAG]: base and one layer of its own.
image() {
    crane append ${3-} -f "$work/base.tar" -f "$work/$2.tar" -t "$at/$1:$2" >/dev/null 2>>"$work/log"
    crane mutate --set-platform "linux/$2" --entrypoint /app/hello \
        -t "$at/$1:$2" "$at/$1:$2" >/dev/null 2>>"$work/log"
}
for architecture in amd64 arm64; do
    image demo $architecture --oci-empty-base
    image docker $architecture
done
crane index append -m "$at/demo:amd64" -m "$at/demo:arm64" -t "$at/demo:v1" >/dev/null 2>>"$work/log"
crane index append --docker-empty-base \
    -m "$at/docker:amd64" -m "$at/docker:arm64" -t "$at/docker:v1" >/dev/null 2>>"$work/log"
crane index append --flatten=false \
    -m "$at/demo:v1" -m "$at/demo:amd64" -t "$at/demo:nested" >/dev/null 2>>"$work/log"

cd "$here"
rm -rf demo docker artifact nested
crane pull --format=oci "$at/demo:v1" demo
oras tag --oci-layout "demo@$(crane digest "$at/demo:v1")" v1 >/dev/null
crane pull --format=oci "$at/docker:v1" docker
oras cp --from-plain-http --to-oci-layout "$at/demo:nested" nested:nested >/dev/null
printf 'a note\n' >"$work/note.txt"
(
    cd "$work"
    oras push --oci-layout "$here/artifact:note" --artifact-type application/vnd.example.note \
        --annotation org.opencontainers.image.created=1970-01-01T00:00:00Z \
        note.txt:text/plain >/dev/null
)
# oras writes read-only blobs and leaves an empty folder.
rm -rf artifact/ingest nested/ingest
find demo docker artifact nested -type f -exec chmod 644 {} +

# What has no signature, for tests that attach the first one.
rm -rf unsigned
cp -r demo unsigned

# The demo layout is signed by ocisign itself, once; an ECDSA signature is another one each time:
#   cargo run -- sign --key keys-test/ecdsa-p256/key.pem --as demo.example/app:v1 -a env=demo oci:tests/data/layouts/demo:v1
