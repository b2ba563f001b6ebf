#!/usr/bin/env bash
# Installs the Debian packages that building needs, as root or through sudo. Asks nothing; does nothing,
# in a few milliseconds, where all are there.
#   scripts/install_packages.sh [--tests] [--bench] [--format] [--lint]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=(build-essential cmake ninja-build ccache pkg-config
  libhwy-dev libcli11-dev nlohmann-json3-dev libsimdjson-dev
  libpcre2-dev libutf8proc-dev libssl-dev zlib1g-dev libzstd-dev)
for option in "$@"; do
  case $option in
    --tests) packages+=(libgtest-dev) ;;
    --bench) packages+=(libbenchmark-dev) ;;
    --format) packages+=(clang-format) ;;
    --lint) packages+=(clang-format clang-tidy) ;;
    *) die "unknown option '$option'; there are --tests, --bench, --format and --lint" ;;
  esac
done

has dpkg-query && has apt-get ||
  die "this is not a Debian system (no apt-get). Install the equivalents of: ${packages[*]}; then call make with PACKAGES=no"

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
mapfile -t missing < <(printf '%s\n' "${packages[@]}" | sort -u | grep -vxF "$installed" || true)
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  as_root=(sudo -n)
  sudo -n true 2>/dev/null || die "packages are missing, and this is neither root nor a user whose sudo works without a password. Run as root:
  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
fi

echo "installing: ${missing[*]}"
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >/dev/null </dev/null
}
apt update || echo "apt-get update failed; trying with the package lists at hand" >&2
apt install -y --no-install-recommends "${missing[@]}" ||
  die "apt-get could not install: ${missing[*]} (Debian 12 has them all; is the network up?)"
