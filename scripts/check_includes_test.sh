#!/usr/bin/env bash
# Checks check_includes.sh itself: on a made-up tree it must name each forbidden include, and nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

put() { mkdir -p "$tree/$(dirname "$1")"; printf '#include "%s"\n' "${@:2}" >"$tree/$1"; }
put awq/base/error.h awq/base/dtype.h
put awq/base/json.h awq/base/error.h
put awq/model/spec.h awq/base/json.h
put awq/ops/args.h awq/pack/format.h
put awq/nn/linear.cc awq/nn/linear.h awq/ops/args.h awq/model/spec.h
put awq/nn/linear_test.cc awq/backend/make_backend.h awq/backend/ref/ref_backend.h awq/nn/linear.h
put awq/backend/make_backend.cc awq/backend/cpu/cpu_backend.h
put awq/backend/cpu/cpu_backend.h awq/backend/ref/ref_backend.h
put awq/api/llm.cc awq/runtime/engine.h awq/backend/make_backend.h
put awq/api/llm.h awq/base/error.h
put awq/cli/run.cc awq/api/llm.h awq/base/json.h
"$here/check_includes.sh" "$tree" || { echo "check_includes_test: a tree that keeps the rules was refused" >&2; exit 1; }

put awq/base/bad.h awq/model/spec.h
put awq/model/bad.cc awq/pack/format.h
put awq/ops/bad.h awq/model/spec.h
put awq/nn/bad.cc awq/backend/make_backend.h
put awq/nn/bad_test.cc awq/quant/search.h
put awq/runtime/bad.cc awq/quant/search.h
put awq/backend/cuda/bad.cc awq/backend/cpu/cpu_backend.h
put awq/backend/cuda/device/bad.cuh awq/base/json.h
put awq/api/bad.h awq/runtime/engine.h
put awq/api/bad.cc awq/backend/ref/ref_backend.h
put awq/cli/bad.cc awq/quant/search.h
put awq/model/local.cc spec.h
put awq/novel/bad.cc awq/base/json.h
expected=$(cd "$tree" && ls awq/*/bad* awq/*/local.cc awq/backend/cuda/bad.cc awq/backend/cuda/device/bad.cuh | sort)
found=$("$here/check_includes.sh" "$tree" && { echo "check_includes_test: nothing was refused" >&2; exit 1; } || true)
diff <(echo "$expected") <(sed 's/:.*//' <<<"$found" | sort -u) ||
  { echo "check_includes_test: < should have been refused, > should not" >&2; exit 1; }
