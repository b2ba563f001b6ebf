// Canonical 4-bit weights to the resident layout of layout.h on the device.
#pragma once

#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/layout.h"

namespace awq::cuda {

struct CanonicalQ4 {
  const uint8_t* codes;    // two a byte, the low nibble first [N, K]
  const uint16_t* scales;  // f16 [N, groups]
  float times = 1.0f;      // a power of two that scales are multiplied with: 1 / HostBlocks::scale
  const uint8_t* zeros;    // [N, groups]; null when symmetric
  int64_t groups;          // of a row
  bool gated = false;      // row 2i of the layout is row i, row 2i + 1 row N / 2 + i
};

// Writes shape.NumBytes() bytes, the same as PackQ4 on the host. Asynchronous.
void PackQ4OnDevice(const Queue& queue, const Q4Shape& shape, const CanonicalQ4& from, uint8_t* to);

}  // namespace awq::cuda
