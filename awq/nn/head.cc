#include "awq/nn/head.h"

#include <algorithm>
#include <cmath>

#include "awq/base/threads.h"
#include "awq/pack/quantized_weight.h"

namespace awq {
namespace {

constexpr int64_t kGroup = 128;

// Each row divided by its length, in f32.
Tensor NormalizeRows(const TensorView& w) {
  Tensor out = ConvertTo(w, DType::kF32);
  for (int64_t r = 0; r < w.dim(0); ++r) {
    const auto row = out.view().Rows(r, r + 1).Span<float>();
    double squares = 0;
    for (float v : row) squares += static_cast<double>(v) * static_cast<double>(v);
    const auto length = static_cast<float>(std::max(std::sqrt(squares), 1e-7));
    for (float& v : row) v /= length;
  }
  return out;
}

// To nearest; what a group does not reach is 0's.
void RoundGroup(std::span<const float> w, QuantizedWeight& out, int64_t row, int64_t first) {
  const QuantScheme& scheme = out.scheme;
  const auto [least, most] = std::minmax_element(w.begin(), w.end());
  const float low = std::min(*least, 0.0f);
  const float high = std::max(*most, 0.0f);
  const float reach = std::max(-low, high);
  const float steps = static_cast<float>(scheme.MaxCode());
  float scale =
      scheme.symmetric ? reach / static_cast<float>(scheme.MidCode() - 1) : (high - low) / steps;
  if (!(scale > 0.0f)) scale = 1.0f;
  const float zero = scheme.symmetric ? static_cast<float>(scheme.MidCode())
                                      : std::clamp(std::round(-low / scale), 0.0f, steps);
  const int64_t group = row * scheme.Groups(out.k()) + first / scheme.GroupSize(out.k());
  StoreFloat(out.scales.view(), group, scale);
  if (!scheme.symmetric) out.zeros.As<uint8_t>()[group] = static_cast<uint8_t>(zero);
  for (size_t i = 0; i < w.size(); ++i) {
    const float code = std::clamp(std::round(w[i] / scale) + zero, 0.0f, steps);
    SetCode(out, row, first + static_cast<int64_t>(i), static_cast<int>(code));
  }
}

QuantizedWeight Round(const TensorView& w, int bits, int threads) {
  const int64_t k = w.dim(1);
  const QuantScheme scheme{
      .bits = bits, .group = k % kGroup == 0 ? kGroup : -1, .symmetric = bits == 8};
  QuantizedWeight out = MakeQuantizedWeight(scheme, w.dim(0), k, DType::kF32);
  ThreadPool(threads).For(w.dim(0), 64, [&](int64_t begin, int64_t end) {
    const Tensor rows = ConvertTo(w.Rows(begin, end), DType::kF32);
    const auto values = rows.Span<float>();
    const int64_t size = scheme.GroupSize(k);
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t first = 0; first < k; first += size) {
        const auto at = static_cast<size_t>((r - begin) * k + first);
        RoundGroup(values.subspan(at, static_cast<size_t>(size)), out, r, first);
      }
    }
  });
  return out;
}

std::unique_ptr<PackedWeight> Prepare(Backend& backend, const Tensor& head, int bits) {
  if (bits == 16) return backend.PrepareDense(head.view(), head.dtype());
  return backend.PrepareQuantized(Round(head.view(), bits, backend.Info().threads));
}

}  // namespace

Linear MakeHead(Backend& backend, const WeightSource& source, int bits) {
  AWQ_CHECK(bits == 16 || bits == 8 || bits == 4, kInvalidArgument,
            "bits of the head: expected 16, 8 or 4, found ", bits);
  Tensor head = source.Head();
  if (source.spec().head.normalized_rows) head = NormalizeRows(head.view());
  const Tensor bias = source.HeadBias();
  return Linear(Prepare(backend, head, bits),
                bias.empty() ? Tensor() : ToDevice(backend, bias.view()));
}

}  // namespace awq
