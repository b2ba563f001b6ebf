// FastExp: e^x, and what a softmax needs of a row, in forms that compilers turn into vector code.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>

namespace awq {

// Within 2 ulp for x in [-87, 0]. x = n · ln 2 + r with the polynomial of Cephes'
// expf.
inline float FastExp(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 · 2²³: adding it rounds to an integer
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float y = 1.9875691500e-4f;
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  return y * std::bit_cast<float>((exponent + 127) << 23);
}

// Lanes that are summed or compared apart, since compilers must not reorder floats by themselves.
inline constexpr int64_t kExpLanes = 8;

inline float MaxOfRow(const float* x, int64_t count) {
  float lanes[kExpLanes];
  std::fill_n(lanes, kExpLanes, x[0]);
  int64_t i = 0;
  for (; i + kExpLanes <= count; i += kExpLanes) {
    for (int64_t l = 0; l < kExpLanes; ++l) lanes[l] = lanes[l] < x[i + l] ? x[i + l] : lanes[l];
  }
  for (; i < count; ++i) lanes[0] = std::max(lanes[0], x[i]);
  return *std::max_element(lanes, lanes + kExpLanes);
}

// x[i] becomes e^(x[i] - top), at least e⁻⁸⁷; returns the sum.
inline double ExpOfRow(float* x, int64_t count, float top) {
  constexpr int64_t kRun = 32 * kExpLanes;  // stays in the cache from one loop to the next
  double lanes[kExpLanes] = {};
  for (int64_t first = 0; first < count; first += kRun) {
    float* run = x + first;
    const int64_t length = std::min(kRun, count - first);
    for (int64_t i = 0; i < length; ++i) run[i] = run[i] - top < -87.0f ? -87.0f : run[i] - top;
    for (int64_t i = 0; i < length; ++i) run[i] = FastExp(run[i]);
    int64_t i = 0;
    for (; i + kExpLanes <= length; i += kExpLanes) {
      for (int64_t l = 0; l < kExpLanes; ++l) lanes[l] += static_cast<double>(run[i + l]);
    }
    for (; i < length; ++i) lanes[0] += static_cast<double>(run[i]);
  }
  return std::accumulate(lanes, lanes + kExpLanes, 0.0);
}

}  // namespace awq
