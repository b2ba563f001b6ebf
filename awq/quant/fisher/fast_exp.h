// FastExp: e^x in a form that compilers turn into vector code.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace awq {

// Within 2 ulp on [-87, 0]; below, about e⁻⁸⁷. x = n · ln 2 + r with the polynomial of Cephes'
// expf.
inline float FastExp(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 · 2²³: adding it rounds to an integer
  x = x < -87.0f ? -87.0f : x;
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

// x[i] becomes e^(x[i] - top); returns the sum.
inline double ExpOfRow(float* x, int64_t count, float top) {
  double total = 0;
  constexpr int64_t kRun = 256;  // summed in f64 while it is in the cache
  for (int64_t first = 0; first < count; first += kRun) {
    const int64_t last = std::min(count, first + kRun);
    for (int64_t i = first; i < last; ++i) x[i] = FastExp(x[i] - top);
    for (int64_t i = first; i < last; ++i) total += static_cast<double>(x[i]);
  }
  return total;
}

}  // namespace awq
