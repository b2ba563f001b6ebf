#include "awq/pack/quantized_weight.h"

namespace awq {

QuantizedWeight MakeQuantizedWeight(const QuantScheme& scheme, int64_t n, int64_t k,
                                    DType scale_type) {
  AWQ_CHECK(scheme.bits == 4 || scheme.bits == 8, kUnsupported, "quantization to ", scheme.bits,
            " bits; supported: 4, 8");
  AWQ_CHECK(scheme.bits == 8 || k % 2 == 0, kUnsupported, "an odd number of inputs (", k, ")");
  QuantizedWeight out;
  out.scheme = scheme;
  const int64_t groups = scheme.Groups(k);
  out.codes = MakeTensor(scheme.bits == 4 ? DType::kU4 : DType::kU8, {n, k});
  out.scales = MakeTensor(scale_type, {n, groups});
  if (!scheme.symmetric) out.zeros = MakeTensor(DType::kU8, {n, groups});
  return out;
}

int QuantizedWeight::Code(int64_t row, int64_t column) const {
  const int64_t i = row * k() + column;
  if (scheme.bits == 8) return codes.As<const uint8_t>()[i];
  return (codes.As<const uint8_t>()[i / 2] >> (4 * (i % 2))) & 15;
}

int QuantizedWeight::Zero(int64_t row, int64_t group) const {
  if (scheme.symmetric) return scheme.MidCode();
  return zeros.As<const uint8_t>()[row * zeros.shape()[1] + group];
}

float QuantizedWeight::Scale(int64_t row, int64_t group) const {
  return LoadFloat(scales.view(), row * scales.shape()[1] + group);
}

Tensor Dequantize(const QuantizedWeight& weight) {
  const int64_t n = weight.n();
  const int64_t k = weight.k();
  const int64_t group = weight.scheme.GroupSize(k);
  Tensor out = MakeTensor(DType::kF32, {n, k});
  float* to = out.As<float>();
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t c = 0; c < k; ++c) {
      const int64_t g = c / group;
      to[r * k + c] =
          static_cast<float>(weight.Code(r, c) - weight.Zero(r, g)) * weight.Scale(r, g);
    }
  }
  return out;
}

}  // namespace awq
