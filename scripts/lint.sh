#!/usr/bin/env bash
# clang-tidy over all C++ sources, with the compile commands of the cpu preset without precompiled headers.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

has clang-tidy || die "clang-tidy is missing: scripts/install_packages.sh --lint"
cd "$root"
cmake --preset cpu -B build/lint -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DAWQ_TOGETHER=OFF >/dev/null
sources '*.cc' | xargs -0 -r -P "$(nproc)" -n 4 clang-tidy -p build/lint --quiet --warnings-as-errors='*' \
  --extra-arg=-Wno-unknown-warning-option
