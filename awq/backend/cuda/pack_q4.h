// Canonical 4-bit weight to the resident layout of layout.h, and back.
#pragma once

#include <cstdint>
#include <vector>

#include "awq/backend/cuda/layout.h"
#include "awq/pack/quantized_weight.h"

namespace awq::cuda {

struct HostBlocks {
  Q4Shape shape;
  // A power of two that every stored f16 scale is to be multiplied by: 1 unless the scales of the
  // checkpoint (BF16, F32) would leave the range of f16.
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
