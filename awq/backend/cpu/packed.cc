#include "awq/backend/cpu/packed.h"

#include <algorithm>
#include <numeric>

namespace awq::cpu {
namespace {

// Rows of one panel, transposed: to[k][16] from w[n][k].
template <typename To, typename Convert>
void PackDensePanel(const TensorView& w, int64_t panel, To* to, const Convert& convert) {
  const int64_t columns = w.dim(1);
  const int64_t first = panel * kPanel;
  const int64_t count = std::min(kPanel, w.dim(0) - first);
  // Strips of columns, so that the rows' cache lines are used up before they are evicted.
  constexpr int64_t kStrip = 64;
  for (int64_t begin = 0; begin < columns; begin += kStrip) {
    const int64_t end = std::min(columns, begin + kStrip);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t from = (first + lane) * columns;
      for (int64_t c = begin; c < end; ++c) to[c * kPanel + lane] = convert(from + c);
    }
  }
}

}  // namespace

PackedDense::PackedDense(ThreadPool& pool, const TensorView& w, DType type)
    : PackedWeight(w.dim(0), w.dim(1)), data_(MakeTensor(type, {panels() * kPanel, w.dim(1)})) {
  pool.For(panels(), 4, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t at = panel * k() * kPanel;
      if (w.dtype == type && type == DType::kF32) {
        const float* from = w.As<const float>();
        PackDensePanel(w, panel, data_.As<float>() + at, [=](int64_t i) { return from[i]; });
      } else if (w.dtype == type) {
        const auto* from = w.As<const uint16_t>();
        PackDensePanel(w, panel, data_.As<uint16_t>() + at, [=](int64_t i) { return from[i]; });
      } else if (type == DType::kF32) {
        PackDensePanel(w, panel, data_.As<float>() + at,
                       [&](int64_t i) { return LoadFloat(w, i); });
      } else if (type == DType::kBF16) {
        PackDensePanel(w, panel, data_.As<uint16_t>() + at,
                       [&](int64_t i) { return FloatToBf16(LoadFloat(w, i)); });
      } else {
        PackDensePanel(w, panel, data_.As<uint16_t>() + at,
                       [&](int64_t i) { return FloatToF16(LoadFloat(w, i)); });
      }
    }
  });
}

PackedQuantized::PackedQuantized(ThreadPool& pool, const QuantizedWeight& w)
    : PackedWeight(w.n(), w.k()),
      bits_(w.scheme.bits),
      group_(w.scheme.GroupSize(w.k())),
      block_(w.scheme.group < 0 ? kMaxBlock : std::gcd(group_, kMaxBlock)) {
  AWQ_CHECK(block_ % 8 == 0, kUnsupported, "group size ", group_,
            " on the CPU: expected a multiple of 8, or the whole row");
  words_ = MakeTensor(DType::kI32, {panels() * words_per_row() * kPanel});
  scales_ = MakeTensor(w.scales.dtype(), {panels() * groups() * kPanel});
  if (!w.scheme.symmetric) zeros_ = MakeTensor(DType::kU8, {panels() * groups() * kPanel});
  pool.For(panels(), 4, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) PackPanel(w, panel);
  });
}

void PackedQuantized::PackPanel(const QuantizedWeight& w, int64_t panel) {
  uint32_t* words = words_.As<uint32_t>() + panel * words_per_row() * kPanel;
  const auto* codes = w.codes.As<const uint8_t>();
  const int64_t first = panel * kPanel;
  const int64_t last = std::min(first + kPanel, n());
  for (int64_t r = first; r < last; ++r) {
    for (int64_t word = 0; word < words_per_row(); ++word) {
      uint32_t value = 0;
      const int64_t begin = word * inputs_per_word();
      const int64_t end = std::min(begin + inputs_per_word(), k());
      for (int64_t c = begin; c < end; ++c) {
        const int64_t i = r * k() + c;
        const uint32_t code = bits_ == 8 ? codes[i] : (codes[i / 2] >> (4 * (i % 2))) & 15u;
        value |= code << QuantizedShift(c, bits_);
      }
      words[word * kPanel + r % kPanel] = value;
    }
    for (int64_t g = 0; g < groups(); ++g) {
      const int64_t to = DensePlace(r, g, groups());
      StoreFloat(scales_.view(), to, w.Scale(r, g));
      if (!symmetric()) zeros_.As<uint8_t>()[to] = static_cast<uint8_t>(w.Zero(r, g));
    }
  }
}

}  // namespace awq::cpu
