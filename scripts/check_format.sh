#!/usr/bin/env bash
# Checks that all sources are formatted as .clang-format says; --fix formats them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

has clang-format || die "clang-format is missing: scripts/install_packages.sh --format"
mode=(--dry-run -Werror)
[ "${1:-}" != --fix ] || mode=(-i)
cd "$root"
sources '*.h' '*.cc' '*.cu' '*.cuh' | xargs -0 -r -P "$(nproc)" -n 16 clang-format "${mode[@]}" ||
  die "the files above are not formatted; run: make format"
