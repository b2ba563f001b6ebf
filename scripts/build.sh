#!/usr/bin/env bash
# Configures a preset of CMakePresets.json and builds it.
#   scripts/build.sh PRESET [--cuda on|off|auto] [--target NAME]…
# auto: on where nvcc is found. Without --cuda the preset, or what was configured before, decides.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

preset=${1:?preset name}
shift
configure=() build=()
while [ $# -gt 0 ]; do
  case $1 in
    --cuda)
      case $2 in
        on | off) configure+=("-DAWQ_CUDA=${2^^}") ;;
        auto) has nvcc && configure+=(-DAWQ_CUDA=ON) || configure+=(-DAWQ_CUDA=OFF) ;;
        *) die "--cuda takes on, off or auto, not '$2'" ;;
      esac
      shift 2 ;;
    --target) build+=(--target "$2"); shift 2 ;;
    *) die "unknown option '$1'" ;;
  esac
done
if has ccache; then
  export CCACHE_SLOPPINESS=pch_defines,time_macros  # what precompiled headers need
  configure+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
fi

cd "$root"
cmake --preset "$preset" "${configure[@]}" --log-level=WARNING >/dev/null
cmake --build "build/$preset" -j "$(nproc)" "${build[@]}"
