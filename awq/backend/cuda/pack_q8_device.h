// Canonical 8-bit weights to the resident layout of layout_q8.h on the device.
#pragma once

#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/layout_q8.h"

namespace awq::cuda {

struct CanonicalQ8 {
  const uint8_t* codes;  // [N, K]
  const float* scales;   // [N, groups]
  const uint8_t* zeros;  // [N, groups]; null when symmetric: 128
  int64_t groups;        // of a row
};

// Writes shape.NumBytes() bytes. Asynchronous.
void PackQ8OnDevice(const Queue& queue, const Q8Shape& shape, const CanonicalQ8& from, uint8_t* to);

}  // namespace awq::cuda
