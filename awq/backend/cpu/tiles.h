// Products of calibration on the matrix tiles of x86 (AMX): every f32 operand is the sum of bf16
// parts, each of what those before leave, and a product that of pairs of parts, summed in f32.
//   2 parts   hi·hi + hi·lo + lo·hi: what is left out is 2^-16 of each term at most
//   3 parts   and hi·last + lo·lo + last·hi: 2^-24, f32's own; half as fast
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
  int parts = 2;                // of an f32: 2, or 3; 3 where the right side is bf16
  bool add = false;             // to what c holds
  bool upper = false;           // only what stands on and above the diagonal is needed
  const float* bias = nullptr;  // [b.lanes], with add false
};

// Whether the machine may use tiles, the processor has them, the system grants them, and the
// product is large enough.
bool TilesPay(const Machine& machine, int64_t m, int64_t n, int64_t depth);

void TileProduct(Machine& machine, const TileTask& task);

}  // namespace awq::cpu
