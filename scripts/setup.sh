#!/usr/bin/env bash
# Make this clone and this host ready, part by part; a part that is ready costs milliseconds. What cannot be had is
# said and left: only a missing Python environment ends the run, since nothing works without it.
#
#   scripts/setup.sh PART ...    python      .venv with the packages of pyproject.toml, as constraints.txt pins them
#                                recording   bcc, kernel headers and their links, tracefs (as root on Debian's kin)
#                                programs    the servers and clients that the live tests record (as root likewise)
#                                peers       what only the benchmarks compare with (as root likewise)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly OLDEST_PYTHON=3.11

# Debian's package -> a file or program that shows it is there, by whatever way it came
readonly RECORDING_PACKAGES=(python3-bpfcc:/usr/lib/python3/dist-packages/bcc/__init__.py)
readonly TEST_PACKAGES=(nginx-light:nginx golang-go:go
    golang-github-gin-gonic-gin-dev:/usr/share/gocode/src/github.com/gin-gonic/gin/gin.go
    curl:curl nodejs:node wrk:wrk strace:strace tcpdump:tcpdump gcc:gcc libc6-dev:/usr/include/stdio.h
    util-linux:setpriv procps:ps tshark:tshark chromium:chromium)
readonly PEER_PACKAGES=(bpftrace:bpftrace tcpflow:tcpflow)

say() { printf 'setup: %s\n' "$*" >&2; }

is_there() { # a path, or the name of a program
    case $1 in /*) [ -e "$1" ] ;; *) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] ;; esac
}

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_update() { # once a run, and only when something is missing
    [ -n "${lists_are_fresh:-}" ] && return
    lists_are_fresh=yes
    apt-get -qq update >/dev/null 2>&1 || say "apt-get update failed; going on with the package lists at hand"
}

# A server that a test needs must not begin to serve this host: a policy-rc.d of our own keeps installed services
# stopped, unless the administrator has one (https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt).
install() {
    local policy=/usr/sbin/policy-rc.d ours='' log status=0
    apt_update
    say "installing $*"
    if [ ! -e $policy ] && printf '#!/bin/sh\nexit 101\n' 2>/dev/null >$policy; then
        ours=yes
        chmod +x $policy
    fi
    log=$(DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" 2>&1 </dev/null) || status=$?
    [ -z "$ours" ] || rm -f $policy
    [ $status = 0 ] || say "could not install $*: $(tail -n 1 <<<"$log")"
    return $status
}

install_missing() { # PACKAGE:WITNESS ...
    local entry missing=()
    for entry in "$@"; do
        is_there "${entry#*:}" || missing+=("${entry%%:*}")
    done
    [ ${#missing[@]} = 0 ] && return
    if ! can_install; then
        say "not installed: ${missing[*]} (as root: apt-get install ${missing[*]})"
        return
    fi
    # all at once is quick; one by one saves what can be had when one name is unknown here
    install "${missing[@]}" || for entry in "${missing[@]}"; do install "$entry" || true; done
}

python_is_new_enough() { "$1" -c "import sys; sys.exit(sys.version_info < (${OLDEST_PYTHON/./, }))" 2>/dev/null; }

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if python_is_new_enough "$candidate" && "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

environment_works() { # made for this folder (its scripts hold its path), and its interpreter lives
    [ "$(cat .venv/ready 2>/dev/null)" = "$PWD" ] && .venv/bin/python -c '' 2>/dev/null
}

environment_is_ready() {
    environment_works && [ ! pyproject.toml -nt .venv/ready ] && [ ! constraints.txt -nt .venv/ready ]
}

part_python() {
    local python
    environment_is_ready && return
    if ! python=$(find_python) && can_install; then
        install python3 python3-venv || true
        python=$(find_python) || true
    fi
    if [ -z "$python" ]; then
        say "Python $OLDEST_PYTHON or later with its venv module is needed (on Debian: apt-get install python3 python3-venv)"
        exit 1
    fi
    say "packages into .venv, with $("$python" --version)"
    environment_works || "$python" -m venv --clear .venv
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --root-user-action=ignore \
        -c constraints.txt -e '.[test]'
    printf '%s' "$PWD" >.venv/ready
}

headers_are_there() {
    [ -e "/lib/modules/$(uname -r)/build/include/generated/autoconf.h" ] || [ -e /sys/kernel/kheaders.tar.xz ]
}

# A kernel that no package serves is compiled against another kernel's headers. Safe here, because no offset comes from
# them: the recorder takes each from the running kernel's BTF.
link_headers() {
    local modules build
    modules=/lib/modules/$(uname -r)
    build=$(ls -d /usr/src/linux-headers-*-amd64 /usr/src/linux-headers-*-arm64 2>/dev/null | sort -V | tail -n 1)
    [ -n "$build" ] && [ ! -e "$modules/build" ] || return
    mkdir -p "$modules"
    ln -sfn "$build" "$modules/build"
    ln -sfn "${build%-*}-common" "$modules/source"
    say "linked $modules/build and source to the headers of ${build##*/linux-headers-}"
}

install_headers() {
    local package
    for package in "linux-headers-$(uname -r)" "linux-headers-$(dpkg --print-architecture)" linux-headers-generic; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            install "$package" && return
        fi
    done
    return 1
}

part_headers() {
    headers_are_there && return
    if can_install; then
        apt_update
        ls -d /usr/src/linux-headers-*-common >/dev/null 2>&1 || install_headers || true
        link_headers || true
    fi
    headers_are_there || say "no kernel headers for $(uname -r): recording needs them (Debian: linux-headers-amd64)"
}

part_tracefs() {
    [ -d /sys/kernel/tracing/events ] && return
    if [ "$(id -u)" = 0 ] && mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; then
        say "mounted tracefs on /sys/kernel/tracing"
    elif [ "$(id -u)" = 0 ]; then
        say "tracefs cannot be mounted here: recording needs it (mount -t tracefs tracefs /sys/kernel/tracing)"
    fi
}

part_recording() {
    install_missing "${RECORDING_PACKAGES[@]}"
    part_headers
    part_tracefs
}

part_programs() { install_missing "${TEST_PACKAGES[@]}"; }
part_peers() { install_missing "${PEER_PACKAGES[@]}"; }

for part in "$@"; do
    case $part in
    python | recording | programs | peers) "part_$part" ;;
    *) say "unknown part $part: python, recording, programs or peers" && exit 2 ;;
    esac
done
