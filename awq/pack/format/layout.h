// Where each code and zero point lies in the 32-bit words of the formats on disk. Packers,
// unpackers and tests all use these functions; a bit field `shift` counts from the least
// significant bit.
#pragma once

#include <cstdint>

namespace awq {

struct BitField {
  int64_t word;  // index into the row-major i32 tensor
  int shift;
};

// AWQ GEMM packs eight neighbouring outputs into a word, evens first, so that a GPU turns one word
// into four half2 values with the same mask:
//   bits          0-3  4-7  8-11  12-15  16-19  20-23  24-27  28-31
//   output n%8     0    2    4     6      1      3      5      7
constexpr int AwqGemmOutput(int nibble) { return nibble < 4 ? 2 * nibble : 2 * nibble - 7; }
constexpr int AwqGemmNibble(int output) { return output / 2 + 4 * (output % 2); }

// Code (n, k) in qweight i32 [K, N/8]; with the group in place of k, zero (n, g) in qzeros [K/g,
// N/8].
constexpr BitField AwqGemmField(int64_t n, int64_t k, int64_t outputs) {
  return {k * (outputs / 8) + n / 8, 4 * AwqGemmNibble(static_cast<int>(n % 8))};
}

// Words that hold `count` values; the idle high bits of the last one are zero.
constexpr int64_t WordsFor(int64_t count, int bits) { return (count * bits + 31) / 32; }

// compressed-tensors pack-quantized, 4 or 8 bits: code (n, k) in weight_packed i32 [N, ⌈K·b/32⌉],
// in natural order along the inputs.
constexpr BitField PackQuantizedCode(int64_t n, int64_t k, int64_t inputs, int bits) {
  return {n * WordsFor(inputs, bits) + k * bits / 32, static_cast<int>(k * bits % 32)};
}
// Zero (n, g) in weight_zero_point i32 [⌈N·b/32⌉, K/g], in natural order along the outputs.
constexpr BitField PackQuantizedZero(int64_t n, int64_t g, int64_t groups, int bits) {
  return {n * bits / 32 * groups + g, static_cast<int>(n * bits % 32)};
}

}  // namespace awq
