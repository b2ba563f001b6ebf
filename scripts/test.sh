#!/usr/bin/env bash
# What `make test` and CI run: the rules of the source tree, the CPU build with all its tests, and, where
# nvcc is found, that the CUDA backend compiles. Needs no network and no GPU; where there is a Python, it checks
# that the tables of docs/benchmarks.md are those of docs/results.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

step "include rules" scripts/check_includes.sh
step "format" scripts/check_format.sh
if has python3; then
  step "tables of benchmarks.md" python3 tools/make_benchmarks.py --check
fi
step "build (cpu)" scripts/build.sh cpu
if [ ! -e awq/backend/cuda/CMakeLists.txt ]; then
  echo "── no CUDA backend in this tree"
elif has nvcc; then
  step "build (cuda)" scripts/build.sh cuda --cuda on --target awq_cuda --target awq_cuda_device_test
else
  echo "── no nvcc: the CUDA backend is not compiled"
fi
step "tests" ctest --preset cpu -j "$(nproc)"
