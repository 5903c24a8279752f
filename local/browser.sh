#!/usr/bin/env bash
# Unpacks Debian's Chromium and those of its libraries that this machine lacks below .local/opt, and prints what to
# start. Needs no root and installs nothing machine-wide; where there is no such package, a browser on PATH will do.
# Debian keeps one version of Chromium a release, so none can be pinned: what was unpacked stays until it is deleted.
set -euo pipefail
cd "$(dirname "$0")/.."

place=.local/opt/chromium
log=$place.log
program=$PWD/$place/start

runs() { [[ -x $1 ]] && "$1" --version >/dev/null 2>&1; }

# APT with lists and archives of its own, so that neither the machine's nor their locks are touched.
apt() {
  apt-get -qq -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o Debug::NoLocking=true \
    -o APT::Sandbox::User= -o APT::Install-Recommends=false -o Acquire::Retries=3 "$@"
}

unpack() {
  mkdir -p "$work"/{lists,cache/archives}/partial "$work"/{debs,root}
  apt update
  apt --simulate install chromium >"$work/wanted"
  local packages package
  mapfile -t packages < <(sed -nE 's/^Inst ([^ ]+) (\[[^]]+\] )?\(([^ ]+) .*/\1=\3/p' "$work/wanted")
  (cd "$work/debs" && apt download "${packages[@]}")
  for package in "$work"/debs/*.deb; do dpkg-deb --extract "$package" "$work/root"; done
  cat >"$work/root/start" <<'START'
#!/bin/sh
here=$(dirname "$0")
libraries=$(echo "$here"/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH="$libraries:$libraries/pulseaudio"
exec "$here/usr/lib/chromium/chromium" "$@"
START
  chmod 755 "$work/root/start"
  rm -rf "$place"
  mv "$work/root" "$place"
}

mkdir -p .local/opt
exec 9>"$place.lock"
flock 9
if ! runs "$program"; then
  echo "Unpacking Debian's Chromium below $place ..." >&2
  started=$SECONDS
  work=$(mktemp -d "$PWD/.local/opt/unpacking.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  unpack >"$log" 2>&1 &
  if wait $!; then
    echo "Unpacked $("$program" --version) in $((SECONDS - started)) s, $(du -sm "$place" | cut -f1) MB." >&2
  else
    program=$(type -P chromium google-chrome chromium-browser | head -n 1) || true
  fi
fi
if ! runs "$program"; then
  echo "No Chromium: Debian's could not be unpacked ($log says why), and none on PATH runs." >&2
  exit 1
fi
echo "$program"
