// What a warp of held_q4 multiplies: the x that it keeps, and its blocks of weights.
#pragma once

#include "awq/backend/cuda/held_codes.cuh"
#include "awq/backend/cuda/held_plan.h"

namespace awq::cuda {

// The inputs that a warp keeps, in runs of 16 bytes (layout.h), and their sums.
template <typename T, HeldTile kTile>
struct HeldInputs {
  uint32_t x[kHeldBlocks][kTile.cols][4][4];
  float sum[kHeldBlocks][kTile.cols][2];

  // From rows in shared memory; rows past the last repeat it.
  __device__ void Load(uint32_t place, int row_stride, int row_bytes, int rows, int warp,
                       int lane) {
#pragma unroll
    for (int h = 0; h < kHeldBlocks; ++h) {
      const int column = 2 * ((warp + kTile.warps * h) * kBlockK + 8 * (lane % 4));  // bytes
#pragma unroll
      for (int c = 0; c < kTile.cols; ++c) {
        const uint32_t row = place + min(8 * c + lane / 4, rows - 1) * row_stride + column;
#pragma unroll
        for (int run = 0; run < 4; ++run) {
#pragma unroll
          for (uint32_t& word : x[h][c][run]) word = 0;
          if (column + 64 * run < row_bytes) LoadShared(row + 64 * run, x[h][c][run]);
        }
      }
    }
  }
  __device__ void Add() {
    constexpr uint32_t kOnes = RawCodes<T>::kOnes;
    constexpr uint32_t ones[4] = {kOnes, kOnes, kOnes, kOnes};
#pragma unroll
    for (int h = 0; h < kHeldBlocks; ++h) {
#pragma unroll
      for (int c = 0; c < kTile.cols; ++c) {
        float sums[4][4] = {};
#pragma unroll
        for (int run = 0; run < 4; ++run) {
          Mma<T>(sums[run], ones, x[h][c][run][0], x[h][c][run][1]);
          Mma<T>(sums[run], ones, x[h][c][run][2], x[h][c][run][3]);
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          sum[h][c][i] =
              (sums[0][i] + sums[1][i] + (sums[2][i] + sums[3][i])) * (1.0f / RawCodes<T>::kUnit);
        }
      }
    }
  }
};

// A warp's block of weights, as it lies in a slot.
struct HeldWeights {
  uint32_t codes[2][4];
  uint32_t scales, zeros;  // of two outputs

  // Addresses in shared memory.
  template <bool kZeros>
  __device__ void Load(uint32_t codes_at, uint32_t scales_at, uint32_t zeros_at) {
    LoadShared(codes_at, codes[0]);
    LoadShared(codes_at + 512, codes[1]);
    scales = LoadSharedOne<uint32_t>(scales_at);
    zeros = kZeros ? LoadSharedOne<uint16_t>(zeros_at) : 0x0808u;
  }
};

// What a warp's block of weights adds to the sums of a row tile.
template <typename T, HeldTile kTile>
struct HeldProducts {
  using Raw = RawCodes<T>;
  uint32_t scales, zeros;
  float sum[kTile.cols][4];

  // Begins them, with the inputs that the warp keeps as number h.
  __device__ void Begin(const HeldWeights& w, const HeldInputs<T, kTile>& inputs, int h) {
    scales = w.scales;
    zeros = w.zeros;
#pragma unroll
    for (int i = 0; i < 4 * kTile.cols; ++i) (&sum[0][0])[i] = 0.0f;
#pragma unroll
    for (int step = 0; step < 8; ++step) {  // of 16 inputs: half of a run
      const int run = step / 2;
      const int at = step % 2 * 2;
      const uint32_t(&codes)[4] = w.codes[run / 2];
      uint32_t operand[4];
      Raw::Operand(codes[at], codes[at + 1], 8 * (run % 2), operand);
#pragma unroll
      for (int c = 0; c < kTile.cols; ++c) {
        const uint32_t(&x)[4] = inputs.x[h][c][run];
        Mma<T>(sum[c], operand, x[at], x[at + 1]);
      }
    }
  }
  __device__ void AddTo(float (&total)[kTile.cols][4], const HeldInputs<T, kTile>& inputs,
                        int h) const {
    const float2 scale = __half22float2(reinterpret_cast<const __half2&>(scales));
    const float even = static_cast<float>((zeros & 0xff) + Raw::kBias);
    const float odd = static_cast<float>((zeros >> 8) + Raw::kBias) * Raw::kHigh;
    const float odd_scale = scale.y * (1.0f / Raw::kHigh);
#pragma unroll
    for (int c = 0; c < kTile.cols; ++c) {
      const float(&x)[2] = inputs.sum[h][c];
      total[c][0] += scale.x * (sum[c][0] - even * x[0]);
      total[c][1] += scale.x * (sum[c][1] - even * x[1]);
      total[c][2] += odd_scale * (sum[c][2] - odd * x[0]);
      total[c][3] += odd_scale * (sum[c][3] - odd * x[1]);
    }
  }
};

}  // namespace awq::cuda
