#!/usr/bin/env bash
# Installs what the tests need beside Go: a C compiler for the race detector, Node.js
# with the pinned packages of test/conformance, curl and the Mosquitto clients.
# Does nothing for what is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v curl >/dev/null || missing+=(curl)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v mosquitto_pub >/dev/null || missing+=(mosquitto-clients)
if [[ ${1:-} == bench && ! -x /usr/sbin/mosquitto ]]; then missing+=(mosquitto); fi # the peer of make bench
if ((${#missing[@]})); then
  echo "installing ${missing[*]}"
  sudo=""
  ((EUID == 0)) || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

stamp=test/conformance/node/node_modules/.berth-stamp
if ! cmp -s test/conformance/node/package-lock.json "$stamp" 2>/dev/null; then
  echo "installing the npm packages of test/conformance/node"
  (cd test/conformance/node && npm ci --no-audit --no-fund --loglevel=error)
  cp test/conformance/node/package-lock.json "$stamp"
fi
