#!/usr/bin/env bash
# Builds and runs all benchmarks; arguments go to each of them (--benchmark_filter=… and the like).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

step "build (bench)" scripts/build.sh bench
found=
for program in build/bench/bin/*_bench; do
  [ -x "$program" ] || continue
  found=yes
  step "${program##*/}" "$program" "$@"
done
[ -n "$found" ] || die "no benchmark was built under build/bench/bin"
