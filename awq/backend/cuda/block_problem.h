// A linear of a weight in blocks of 16 outputs × 128 inputs (layout.h, layout_q8.h).
#pragma once

#include <cstdint>

#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/packed.h"
#include "awq/base/tensor.h"

namespace awq::cuda {

// y[M, N] = x[M, K] · Wᵀ + bias[N], as in LinearQ4.
struct BlockProblem {
  const uint8_t* blocks;
  int64_t n, k, row_tiles, blocks_per_row, block_bytes;
  float scale;       // of the sums
  float scale_unit;  // times it: what a scale in the layout counts in the products
  int64_t m;
  const void* x;
  int64_t x_stride;
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  int gate;  // an Activation, or -1
};

// Whether two neighbouring outputs may be stored at once.
inline bool StoresPairs(const void* y, int64_t y_stride, bool y_f32) {
  return y_stride % 2 == 0 && reinterpret_cast<uintptr_t>(y) % (y_f32 ? 8 : 4) == 0;
}

// unit: what the sums of products count.
inline BlockProblem BlocksOf(const LinearQ4& p, float unit) {
  return {.blocks = p.blocks,
          .n = p.shape.n,
          .k = p.shape.k,
          .row_tiles = p.shape.RowTiles(),
          .blocks_per_row = p.shape.BlocksPerRow(),
          .block_bytes = p.shape.BlockBytes(),
          .scale = p.scale / unit,
          .scale_unit = 1.0f,
          .m = p.m,
          .x = p.x,
          .x_stride = p.x_stride,
          .bias = p.bias,
          .y = p.y,
          .y_stride = p.y_stride,
          .y_f32 = p.out == DType::kF32,
          .gate = p.GateArg()};
}

inline BlockProblem BlocksOf(const Q8Weight& w, const TensorView& x, const TensorView& bias,
                             const TensorView& y) {
  const Q8Shape& shape = w.shape();
  return {.blocks = w.blocks(),
          .n = w.n(),
          .k = w.k(),
          .row_tiles = shape.RowTiles(),
          .blocks_per_row = shape.BlocksPerRow(),
          .block_bytes = shape.BlockBytes(),
          .scale = w.scale_unit(),
          .scale_unit = 1.0f / w.scale_unit(),
          .m = x.dim(0),
          .x = x.data,
          .x_stride = x.strides[0],
          .bias = bias.As<const float>(),
          .y = y.data,
          .y_stride = y.strides[0],
          .y_f32 = y.dtype == DType::kF32,
          .gate = -1};
}

}  // namespace awq::cuda
