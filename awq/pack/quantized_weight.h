// The canonical quantized weight: what every PackFormat reads and writes and every backend
// prepares.
#pragma once

#include <cstdint>
#include <optional>

#include "awq/base/tensor.h"

namespace awq {

struct QuantScheme {
  int bits = 4;         // 4 (8 for compressed-tensors)
  int64_t group = 128;  // inputs that share a scale; -1: the whole row
  bool symmetric = false;

  // Groups in a row of K inputs.
  int64_t Groups(int64_t k) const { return group < 0 ? 1 : (k + group - 1) / group; }
  int64_t GroupSize(int64_t k) const { return group < 0 ? k : group; }
  int MaxCode() const { return (1 << bits) - 1; }
  // The zero point of a symmetric weight.
  int MidCode() const { return 1 << (bits - 1); }
  bool operator==(const QuantScheme&) const = default;
};

// w[n, k] = (code[n, k] - zero[n, k/g]) · scale[n, k/g]; on the host, every tensor contiguous.
// Codes are unsigned: 0 … 2^bits - 1. A symmetric weight has no zeros and stands for zero =
// 2^(bits-1).
struct QuantizedWeight {
  QuantScheme scheme;
  Tensor codes;   // 4 bits: U4 [N, K], low nibble first (K even); 8 bits: U8 [N, K]
  Tensor scales;  // F16, BF16 or F32 as stored [N, K/g]
  Tensor zeros;   // U8 [N, K/g]; empty if symmetric

  int64_t n() const { return codes.shape()[0]; }
  int64_t k() const { return codes.shape()[1]; }
  int Code(int64_t row, int64_t column) const;
  int Zero(int64_t row, int64_t group) const;
  float Scale(int64_t row, int64_t group) const;
};

// Allocates codes, scales and (unless symmetric) zeros for [n, k].
QuantizedWeight MakeQuantizedWeight(const QuantScheme& scheme, int64_t n, int64_t k,
                                    DType scale_type);
inline void SetCode(QuantizedWeight& weight, int64_t row, int64_t column, int code) {
  const int64_t i = row * weight.k() + column;
  auto* bytes = weight.codes.As<uint8_t>();
  if (weight.scheme.bits == 8) {
    bytes[i] = static_cast<uint8_t>(code);
    return;
  }
  const int shift = static_cast<int>(4 * (i % 2));
  bytes[i / 2] = static_cast<uint8_t>((bytes[i / 2] & ~(15 << shift)) | (code << shift));
}
// f32 [N, K].
Tensor Dequantize(const QuantizedWeight& weight);

}  // namespace awq
