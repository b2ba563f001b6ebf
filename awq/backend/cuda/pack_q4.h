// Canonical 4-bit weight to the resident layout of layout.h, and back.
#pragma once

#include <cstdint>
#include <vector>

#include "awq/backend/cuda/layout.h"
#include "awq/pack/quantized_weight.h"

namespace awq::cuda {

struct HostBlocks {
  Q4Shape shape;
  // A power of two that every stored f16 scale is to be multiplied by: it brings the largest stored
  // one to [2^11, 2^12), so that f16 loses no bits of small ones, 15 times it is still below 65504
  // for kernels that put scales into the weights, and kernels know the range (wide_codes.cuh).
  float scale = 1.0f;
  std::vector<uint8_t> bytes;
};

// Throws kUnsupported for bits other than 4, for a group that is not 32, 64, a multiple of 128 or
// the whole row, and for K that is not a multiple of 8.
Q4Shape MakeQ4Shape(const QuantScheme& scheme, int64_t n, int64_t k);
// What HostBlocks::scale is for these scales.
float CommonScale(const QuantizedWeight& weight);
HostBlocks PackQ4(const QuantizedWeight& weight);
// The inverse, with F32 scales; groups that span the row come back as -1.
QuantizedWeight UnpackQ4(const HostBlocks& blocks);

}  // namespace awq::cuda
