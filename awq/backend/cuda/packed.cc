#include "awq/backend/cuda/packed.h"

#include <algorithm>
#include <cmath>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/pack_q4_device.h"
#include "awq/backend/cuda/pack_q8_device.h"

namespace awq::cuda {
DenseWeight::DenseWeight(Stream& stream, const TensorView& w, DType type)
    : PackedWeight(w.dim(0), w.dim(1)) {
  data_ = w.dtype == type && w.IsContiguous() ? stream.Upload(w)
                                              : stream.Upload(ConvertTo(w, type).view());
}

bool Q4Weight::Supports(const QuantScheme& scheme, int64_t n, int64_t k) {
  if (scheme.bits != 4) return false;
  try {
    MakeQ4Shape(scheme, n, k);
    return true;
  } catch (const Error&) {
    return false;
  }
}

Q4Weight::Q4Weight(Stream& stream, const QuantizedWeight& w, bool gated)
    : PackedWeight(w.n(), w.k()),
      shape_(MakeQ4Shape(w.scheme, w.n(), w.k())),
      scale_(CommonScale(w)),
      gated_(gated),
      data_(stream.Alloc(DType::kU8, {shape_.NumBytes()})) {
  const bool stored = w.scales.dtype() == DType::kF16;  // then they are multiplied on the device
  Tensor rounded;
  if (!stored) {
    rounded = MakeTensor(DType::kF16, w.scales.shape());
    for (int64_t i = 0; i < w.scales.view().NumElements(); ++i) {
      StoreFloat(rounded.view(), i, LoadFloat(w.scales.view(), i) / scale_);
    }
  }
  const Tensor codes = stream.Upload(w.codes.view());
  const Tensor scales = stream.Upload(stored ? w.scales.view() : rounded.view());
  const Tensor zeros = w.scheme.symmetric ? Tensor() : stream.Upload(w.zeros.view());
  PackQ4OnDevice({.stream = stream.get()}, shape_,
                 {.codes = codes.As<const uint8_t>(),
                  .scales = scales.As<const uint16_t>(),
                  .times = stored ? 1.0f / scale_ : 1.0f,
                  .zeros = zeros.As<const uint8_t>(),
                  .groups = w.scheme.Groups(w.k()),
                  .gated = gated},
                 data_.As<uint8_t>());
}

namespace {

// The least power of two above them all; 1 where none is or they are not finite.
float PowerAbove(const float* values, int64_t count) {
  float most = 0.0f;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::fabs(values[i]));
  if (most == 0.0f || !std::isfinite(most)) return 1.0f;
  int exponent = 0;
  std::frexp(most, &exponent);
  return std::ldexp(1.0f, std::clamp(exponent, -120, 120));
}

}  // namespace

bool Q8Weight::Supports(const QuantScheme& scheme, int64_t k) {
  const int64_t group = scheme.GroupSize(k);
  return scheme.bits == 8 && (scheme.Groups(k) == 1 || group == 64 || group % kBlockK == 0);
}

Q8Weight::Q8Weight(Stream& stream, const QuantizedWeight& w)
    : PackedWeight(w.n(), w.k()),
      shape_{.n = w.n(), .k = w.k(), .group = w.scheme.GroupSize(w.k())},
      data_() {
  // One group takes in the padding, too.
  if (w.scheme.Groups(w.k()) == 1) shape_.group = shape_.BlocksPerRow() * kBlockK;
  data_ = stream.Alloc(DType::kU8, {shape_.NumBytes()});
  const Tensor codes = stream.Upload(w.codes.view());
  const Tensor host_scales = ConvertTo(w.scales.view(), DType::kF32);
  scale_unit_ = PowerAbove(host_scales.As<const float>(), w.scales.view().NumElements());
  const Tensor scales = stream.Upload(host_scales.view());
  const Tensor zeros = w.scheme.symmetric ? Tensor() : stream.Upload(w.zeros.view());
  PackQ8OnDevice({.stream = stream.get()}, shape_,
                 {.codes = codes.As<const uint8_t>(),
                  .scales = scales.As<const float>(),
                  .zeros = zeros.As<const uint8_t>(),
                  .groups = w.scheme.Groups(w.k())},
                 data_.As<uint8_t>());
}

PlainWeight::PlainWeight(Stream& stream, const QuantizedWeight& w)
    : PackedWeight(w.n(), w.k()), group_(w.scheme.GroupSize(w.k())) {
  const int64_t groups = w.scheme.Groups(w.k());
  const bool bytes = w.codes.dtype() == DType::kU8;
  const Tensor codes = bytes ? Tensor() : MakeTensor(DType::kU8, {w.n(), w.k()});
  const Tensor zeros = MakeTensor(DType::kU8, {w.n(), groups});
  for (int64_t r = 0; r < w.n(); ++r) {
    for (int64_t c = 0; c < w.k() && !bytes; ++c) {
      codes.As<uint8_t>()[r * w.k() + c] = static_cast<uint8_t>(w.Code(r, c));
    }
    for (int64_t g = 0; g < groups; ++g) {
      zeros.As<uint8_t>()[r * groups + g] = static_cast<uint8_t>(w.Zero(r, g));
    }
  }
  codes_ = stream.Upload(bytes ? w.codes.view() : codes.view());
  zeros_ = stream.Upload(zeros.view());
  scales_ = stream.Upload(ConvertTo(w.scales.view(), DType::kF32).view());
}

}  // namespace awq::cuda
