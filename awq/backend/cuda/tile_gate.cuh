// Gated outputs of tiles (tile_store.cuh), two of a row at a time.
#pragma once

#include "awq/backend/cuda/gate.cuh"

namespace awq::cuda {

// Biases of gate and up number n / 2.
struct GateBias {
  float gate = 0.0f;
  float up = 0.0f;
  template <typename A>
  __device__ GateBias(const A& a, int n) {
    if (a.bias == nullptr) return;
    gate = a.bias[n / 2];
    up = a.bias[a.n / 2 + n / 2];
  }
};

// For tiles with code for each output: SiLU and tanh-GELU without a branch, others as a function,
// so that their code is not repeated; registers are saved around it.
static __device__ __noinline__ float ActivatedApart(Activation kind, float x) {
  return Activated(kind, x);
}
template <typename T, bool kSigmoid, typename A>
__device__ inline T GatedInTile(const A& a, const GateBias& bias, float gate, float up) {
  const auto kind = static_cast<Activation>(a.gate);
  return Gated<T>(gate * a.scale + bias.gate, up * a.scale + bias.up, [&](float x) {
    return kSigmoid ? SigmoidTerms(kind)(x) : ActivatedApart(kind, x);
  });
}
template <typename A>
__device__ inline bool HasSigmoid(const A& a) {
  return IsSigmoid(static_cast<Activation>(a.gate));
}

// Whether this lane stores the second of the two rows that it holds: lanes 4 apart hold
// neighbouring outputs of the same rows.
__device__ inline int RowOfLane() { return static_cast<int>(threadIdx.x) / 4 % 2; }

// Of this lane's output in two rows, and of the lane's 4 apart, those of the row of RowOfLane, the
// lower output first. All lanes of a warp take part.
template <typename T>
__device__ inline uint32_t OutputsOfRow(T first_row, T second_row) {
  const bool second = RowOfLane() != 0;
  const T mine = second ? second_row : first_row;
  const T other = __shfl_xor_sync(~0u, second ? first_row : second_row, 4);
  const T pair[2] = {second ? other : mine, second ? mine : other};
  return reinterpret_cast<const uint32_t&>(pair);
}

// That of the sums of two rows: of gate and up of the first, v0 and v2, and of the second, v1 and
// v3.
template <typename T, bool kSigmoid, typename A>
__device__ inline uint32_t GatedOutputsOfRow(const A& a, const GateBias& bias, float v0, float v1,
                                             float v2, float v3) {
  return OutputsOfRow(GatedInTile<T, kSigmoid>(a, bias, v0, v2),
                      GatedInTile<T, kSigmoid>(a, bias, v1, v3));
}

}  // namespace awq::cuda
