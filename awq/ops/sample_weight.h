// What sampling computes of a logit, the same to the last bit on hosts and devices.
#pragma once

#include <cmath>
#include <cstdint>

#include "awq/base/host_device.h"

namespace awq {

// Of a token that has been seen before.
inline AWQ_HD float PenalizedLogit(float x, float repetition, float subtract) {
  return x > 0 ? x / repetition - subtract : fmaf(x, repetition, -subtract);
}

// 2^44 · e^-distance, rounded down, of a distance ≥ 0; 0 from a distance of 30 on. Weights are
// integers so that the order in which they are added does not matter; 2^19 of them fit in 64 bits.
inline AWQ_HD uint64_t SampleWeight(float distance) {
  const bool near = distance < 30.0f;
  const float d = near ? distance : 30.0f;
  // e^-d = 2^-(n + f), |f| ≤ 1/2. log2(e) in two parts, fused multiply-adds alone.
  const float n = floorf(fmaf(d, 1.44269502f, 0.5f));
  float f = fmaf(d, 1.44269502f, -n);
  f = fmaf(d, 1.92596299e-8f, f);
  // 2^-f, the series of its exponential.
  float p = -1.52527338e-5f;
  p = fmaf(p, f, 1.54035303e-4f);
  p = fmaf(p, f, -1.33335581e-3f);
  p = fmaf(p, f, 9.61812910e-3f);
  p = fmaf(p, f, -5.55041087e-2f);
  p = fmaf(p, f, 2.40226507e-1f);
  p = fmaf(p, f, -6.93147181e-1f);
  p = fmaf(p, f, 1.0f);
  const uint64_t mantissa = uint64_t{static_cast<uint32_t>(p * 0x1p30f)} << 14;
  return mantissa >> (near ? static_cast<int>(n) : 63);  // without a branch
}

}  // namespace awq
