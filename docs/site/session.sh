#!/usr/bin/env bash
# The session of docs/pictures/session.svg: the study of docs/agents.md, typed and run in an empty
# folder. `make recording` records it; it needs `mimsweep` on the PATH.
set -euo pipefail
page="$(cd "$(dirname "$0")/.." && pwd)/agents.md"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
unset MLFLOW_TRACKING_URI
awk '/^```yaml/ {inside = 1; next} /^```/ {inside = 0} inside && !/^#/' "$page" > study.yaml

typed() { # a command, letter by letter, then what it does
  printf '\033[32m$\033[0m '
  for ((i = 0; i < ${#1}; i++)); do
    printf '%s' "${1:i:1}"
    sleep 0.04
  done
  sleep 0.4
  printf '\n'
  eval "$1" || true
  sleep "${2:-1}"
}

typed 'cat study.yaml' 2
typed 'mimsweep run study.yaml' 2
clear
typed 'mimsweep status study.yaml'
typed 'mimsweep verify study.yaml' 2
typed 'mimsweep figures study.yaml'
typed 'ls figures/study/*.svg' 3
