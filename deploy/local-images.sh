#!/usr/bin/env bash
# Builds the images that docker-compose.yml and deploy/Dockerfile start from,
# under the same names, out of what this machine has: for places where no image
# registry can be reached. With a registry nobody needs this.
#
#   deploy/local-images.sh [--force]
#
# Needs docker with a running daemon, Go, and from Debian: redis-server, haproxy,
# busybox-static, ca-certificates. An image that is already there is left alone
# (--force: made anew).
#
# The Go image holds this machine's toolchain and, as a module proxy in a folder,
# the modules of go.mod; so a build in it needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."

force=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() { echo "local-images: $*" >&2; exit 1; }

# from FILE KEY NAME: the image NAME:TAG that FILE asks for.
from() {
    local image
    image=$(grep -oE "$2 +$3:[^ ]+" "$1" | head -n 1 | awk '{print $2}')
    [[ -n $image ]] || die "no image $3 in $1"
    echo "$image"
}

# missing IMAGE: it is to be built.
missing() {
    [[ $force == --force ]] || ! docker image inspect "$1" >/dev/null 2>&1
}

# root NAME: an empty root folder with a shell, users and a place for programs.
root() {
    local dir=$work/$1
    mkdir -p "$dir"/{bin,etc,tmp,usr/bin,usr/local/bin,usr/sbin}
    chmod 755 "$dir" && chmod 1777 "$dir/tmp"
    cp "$(command -v busybox)" "$dir/bin/busybox"
    local tool
    for tool in $(busybox --list | grep -vx busybox); do ln -s busybox "$dir/bin/$tool"; done
    echo "root:x:0:0:root:/:/bin/sh" >"$dir/etc/passwd"
    echo "root:x:0:" >"$dir/etc/group"
    echo "hosts: files dns" >"$dir/etc/nsswitch.conf"
    echo "$dir"
}

# add DIR PROGRAM: copies a program and the libraries it loads.
add() {
    local path lib
    path=$(readlink -f "$(command -v "$2")")
    cp "$path" "$1/usr/bin/$2"
    { ldd "$path" 2>/dev/null || true; } | grep -oE '/[^ ]+\.so[^ ]*' | while read -r lib; do
        mkdir -p "$1$(dirname "$lib")"
        cp -L "$lib" "$1$lib"
    done
}

redis_image() {
    local dir
    dir=$(root redis)
    add "$dir" redis-server
    add "$dir" redis-cli
    mkdir "$dir/data"
    chown 999:999 "$dir/data"
    tar -C "$dir" -c . | docker import -c 'USER 999:999' -c 'VOLUME /data' -c 'WORKDIR /data' \
        -c 'EXPOSE 6379' -c 'CMD ["redis-server"]' - "$1"
}

haproxy_image() {
    local dir
    dir=$(root haproxy)
    add "$dir" haproxy
    mkdir -p "$dir/usr/local/etc/haproxy"
    tar -C "$dir" -c . | docker import -c 'USER 99:99' \
        -c 'CMD ["haproxy","-f","/usr/local/etc/haproxy/haproxy.cfg"]' - "$1"
}

go_image() {
    local dir cache goroot tree
    goroot=$(go env GOROOT)
    tree=$(basename "$goroot")
    dir=$(root go)
    mkdir -p "$dir/go" "$dir/etc/ssl/certs" "$work/modules"
    cat /usr/share/ca-certificates/mozilla/*.crt >"$dir/etc/ssl/certs/ca-certificates.crt"

    # First into this machine's cache, from wherever Go is set up to fetch; from
    # there into one that has the modules of go.mod and nothing else.
    go mod download
    cache=$(go env GOMODCACHE)/cache/download
    GOMODCACHE=$work/modules GOPROXY=file://$cache GOSUMDB=off GOFLAGS=-modcacherw go mod download
    mv "$work/modules/cache/download" "$dir/go/proxy"

    tar -c -C "$dir" . -C "$(dirname "$goroot")" \
        --anchored --exclude="$tree/"{test,api,doc,misc} \
        --transform="s,^$tree\\(/\\|\$\\),usr/local/go\\1," "$tree" |
        docker import \
            -c 'ENV PATH=/go/bin:/usr/local/go/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
            -c 'ENV GOPATH=/go' -c 'ENV GOTOOLCHAIN=local' \
            -c 'ENV GOPROXY=file:///go/proxy' -c 'ENV GOSUMDB=off' \
            -c 'WORKDIR /go' -c 'CMD ["sh"]' - "$1"
}

for tool in docker go redis-server redis-cli haproxy busybox; do
    command -v "$tool" >/dev/null || die "$tool is not here: apt-get install redis-server haproxy busybox-static"
done
docker version >/dev/null || die "no docker daemon answers"

redis=$(from docker-compose.yml image: redis)
haproxy=$(from docker-compose.yml image: haproxy)
golang=$(from deploy/Dockerfile FROM golang)
if missing "$redis"; then redis_image "$redis"; fi
if missing "$haproxy"; then haproxy_image "$haproxy"; fi
if missing "$golang"; then go_image "$golang"; fi
docker image ls
