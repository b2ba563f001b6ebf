#include "awq/backend/cpu/packed.h"

#include <algorithm>
#include <numeric>

namespace awq::cpu {

PackedDense::PackedDense(const TensorView& w, DType type) : PackedWeight(w.dim(0), w.dim(1)) {
  const Tensor source = ConvertTo(w, type);
  data_ = MakeTensor(type, {panels() * kPanel, k()});
  const auto copy = [&](auto* to, const auto* from) {
    for (int64_t r = 0; r < n(); ++r) {
      for (int64_t c = 0; c < k(); ++c) to[DensePlace(r, c, k())] = from[r * k() + c];
    }
  };
  if (type == DType::kF32) {
    copy(data_.As<float>(), source.As<const float>());
  } else {
    copy(data_.As<uint16_t>(), source.As<const uint16_t>());
  }
}

PackedQuantized::PackedQuantized(const QuantizedWeight& w)
    : PackedWeight(w.n(), w.k()),
      bits_(w.scheme.bits),
      group_(w.scheme.GroupSize(w.k())),
      block_(w.scheme.group < 0 ? kMaxBlock : std::gcd(group_, kMaxBlock)) {
  AWQ_CHECK(block_ % 8 == 0, kUnsupported, "group size ", group_,
            " on the CPU: expected a multiple of 8, or the whole row");
  words_ = MakeTensor(DType::kI32, {panels() * words_per_row() * kPanel});
  scales_ = MakeTensor(DType::kF32, {panels() * groups() * kPanel});
  zeros_ = MakeTensor(DType::kU8, {panels() * groups() * kPanel});
  auto* words = words_.As<uint32_t>();
  for (int64_t r = 0; r < n(); ++r) {
    for (int64_t c = 0; c < k(); ++c) {
      const CodePlace place = QuantizedPlace(r, c, words_per_row(), bits_);
      words[place.word] |= static_cast<uint32_t>(w.Code(r, c)) << place.shift;
    }
    for (int64_t g = 0; g < groups(); ++g) {
      const int64_t to = DensePlace(r, g, groups());
      scales_.As<float>()[to] = w.Scale(r, g);
      zeros_.As<uint8_t>()[to] = static_cast<uint8_t>(w.Zero(r, g));
    }
  }
}

}  // namespace awq::cpu
