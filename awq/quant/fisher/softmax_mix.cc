#include "awq/quant/fisher/softmax_mix.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "awq/quant/fisher/fast_exp.h"

namespace awq {
namespace {

constexpr int64_t kTileRows = 256;

float* RowOf(const TensorView& x, int64_t row) { return x.As<float>() + row * x.strides[0]; }

void Zero(const TensorView& x) {
  const auto values = x.Span<float>();
  std::fill(values.begin(), values.end(), 0.0f);
}

}  // namespace

template <typename Body>
void SoftmaxMix::ForTiles(std::span<const int32_t> starts, const Body& body) const {
  for (size_t b = 0; b + 1 < starts.size(); ++b) {
    for (int64_t head = 0; head < heads_; ++head) {
      for (int64_t begin = starts[b]; begin < starts[b + 1]; begin += kTileRows) {
        Tile tile{head, begin, std::min<int64_t>(begin + kTileRows, starts[b + 1]), starts[b]};
        tile.first_key = FirstKey(tile, begin);
        body(tile);
      }
    }
  }
}

TensorView SoftmaxMix::HeadOf(const TensorView& x, int64_t head, int64_t begin, int64_t end) const {
  return x.Rows(begin, end).Columns(head * d_, (head + 1) * d_);
}

int64_t SoftmaxMix::FirstKey(const Tile& tile, int64_t query) const {
  return args_.window > 0 ? std::max(tile.first_key, query - args_.window + 1) : tile.first_key;
}

void SoftmaxMix::Softmax(const GradientContext& ctx, const Tile& tile, const TensorView& scores,
                         const TensorView& p) const {
  const float cap = args_.softcap;
  const float slope =
      args_.alibi_slopes.empty() ? 0.0f : args_.alibi_slopes.As<const float>()[tile.head];
  ctx.pool.For(tile.rows(), 16, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t begin = FirstKey(tile, tile.begin + r) - tile.first_key;
      const int64_t end = tile.begin + r + 1 - tile.first_key;
      float* score = RowOf(scores, r);
      float* to = RowOf(p, r);
      std::fill(to, to + begin, 0.0f);
      std::fill(to + end, to + tile.keys(), 0.0f);
      for (int64_t j = begin; j < end; ++j) score[j] *= args_.scale;
      if (cap > 0) {
        for (int64_t j = begin; j < end; ++j) score[j] = cap * std::tanh(score[j] / cap);
      }
      for (int64_t j = begin; j < end; ++j) {
        to[j] = score[j] + slope * static_cast<float>(j + 1 - end);
      }
      const float top = MaxOfRow(to + begin, end - begin);
      const auto inverse = static_cast<float>(1.0 / ExpOfRow(to + begin, end - begin, top));
      for (int64_t j = begin; j < end; ++j) to[j] *= inverse;
    }
  });
}

void SoftmaxMix::SoftmaxBackward(const GradientContext& ctx, const Tile& tile,
                                 const TensorView& scores, const TensorView& p,
                                 const TensorView& grad) const {
  const float cap = args_.softcap;
  ctx.pool.For(tile.rows(), 16, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t begin = FirstKey(tile, tile.begin + r) - tile.first_key;
      const int64_t end = tile.begin + r + 1 - tile.first_key;
      const float* from = RowOf(p, r);
      const float* score = RowOf(scores, r);
      float* g = RowOf(grad, r);
      std::fill(g, g + begin, 0.0f);
      std::fill(g + end, g + tile.keys(), 0.0f);
      double product = 0;
      for (int64_t j = begin; j < end; ++j) {
        product += static_cast<double>(from[j]) * static_cast<double>(g[j]);
      }
      const auto mean = static_cast<float>(product);
      for (int64_t j = begin; j < end; ++j) g[j] = from[j] * (g[j] - mean) * args_.scale;
      if (cap > 0) {
        for (int64_t j = begin; j < end; ++j) g[j] *= 1.0f - (score[j] / cap) * (score[j] / cap);
      }
    }
  });
}

void SoftmaxMix::Forward(const GradientContext& ctx, const Inputs& in,
                         const TensorView& mixed) const {
  ForTiles(in.starts, [&](const Tile& tile) {
    const Workspace::Scope scope(ctx.scratch);
    const int64_t g = tile.head / (heads_ / kv_heads_);
    const TensorView scores = ctx.Take({tile.rows(), tile.keys()});
    ctx.backend.MatMul(HeadOf(in.q, tile.head, tile.begin, tile.end),
                       HeadOf(in.k, g, tile.first_key, tile.end), true, scores);
    Softmax(ctx, tile, scores, scores);
    ctx.backend.MatMul(scores, HeadOf(in.v, g, tile.first_key, tile.end), false,
                       HeadOf(mixed, tile.head, tile.begin, tile.end));
  });
}

void SoftmaxMix::Backward(const GradientContext& ctx, const Inputs& in,
                          const TensorView& grad_mixed, const Gradients& grad) const {
  Zero(grad.k);
  Zero(grad.v);
  ForTiles(in.starts, [&](const Tile& tile) {
    const Workspace::Scope scope(ctx.scratch);
    const int64_t g = tile.head / (heads_ / kv_heads_);
    const auto queries = [&](const TensorView& x) {
      return HeadOf(x, tile.head, tile.begin, tile.end);
    };
    const auto keys = [&](const TensorView& x) { return HeadOf(x, g, tile.first_key, tile.end); };
    const Shape shape{tile.rows(), tile.keys()};
    const TensorView scores = ctx.Take(shape);
    const TensorView p = ctx.Take(shape);
    const TensorView grad_p = ctx.Take(shape);
    ctx.backend.MatMul(queries(in.q), keys(in.k), true, scores);
    Softmax(ctx, tile, scores, p);
    ctx.backend.CrossGram(p, queries(grad_mixed), keys(grad.v));
    ctx.backend.MatMul(queries(grad_mixed), keys(in.v), true, grad_p);
    SoftmaxBackward(ctx, tile, scores, p, grad_p);
    ctx.backend.MatMul(grad_p, keys(in.k), false, queries(grad.q));
    ctx.backend.CrossGram(grad_p, queries(in.q), keys(grad.k));
  });
}

}  // namespace awq
