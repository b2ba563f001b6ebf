// Products of calibration on the matrix tiles of x86 (AMX), 3 to 5 times as fast as vectors: every
// f32 operand is the sum of two bf16, x = hi + lo within 2^-17 of x, and a product is
// hi·hi + hi·lo + lo·hi, summed in f32. What is left out is 2^-16 of each term at most.
#pragma once

#include <cstdint>

#include "awq/base/tensor.h"

namespace awq::cpu {

struct Machine;
class PackedQuantized;

// One side of a product: lanes are rows of the left side, columns of the right one. Element (lane,
// depth) stands at lane / 16 · panel_step + lane % 16 · lane_step + depth · depth_step; one of the
// last two steps is 1.
struct TileOperand {
  const void* data;
  bool bf16;  // else f32; only with lane_step 1
  int64_t lanes;
  int64_t panel_step, lane_step, depth_step;
  const PackedQuantized* quantized = nullptr;  // instead of all but `lanes`; right side only

  // F32 [lanes, depth] and [depth, lanes].
  static TileOperand Rows(const TensorView& x) {
    return {x.data, false, x.dim(0), 16 * x.strides[0], x.strides[0], 1};
  }
  static TileOperand Columns(const TensorView& x) {
    return {x.data, false, x.dim(1), 16, 1, x.strides[0]};
  }
};

struct TileTask {
  TileOperand a, b;
  int64_t depth;
  float* c;  // [a.lanes, b.lanes]
  int64_t c_stride;
  bool add = false;             // to what c holds
  bool upper = false;           // only what stands on and above the diagonal is needed
  const float* bias = nullptr;  // [b.lanes], with add false
};

// Whether this machine has tiles, the system grants them, and the product is large enough.
bool TilesPay(int64_t m, int64_t n, int64_t depth);

void TileProduct(Machine& machine, const TileTask& task);

}  // namespace awq::cpu
