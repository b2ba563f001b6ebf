#include "awq/quant/fisher/head_gradient.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "awq/quant/fisher/fast_exp.h"

namespace awq {
namespace {

constexpr int64_t kLeastRows = 16;

LayerParams OtherParams(const WeightSource& source) {
  const ModelSpec& model = source.spec();
  LayerParams out;
  if (model.final_norm.type != NormType::kNone && model.final_norm.affine) {
    const VectorShape shape = ShapeOf(Role::kFinalNorm, model.hidden, model.final_norm);
    out.vectors.emplace(shape.role, source.Vector(shape, 0));
    if (shape.bias) out.vector_biases.emplace(shape.role, source.VectorBias(shape, 0));
  }
  if (model.has_projections()) {
    out.linears[Role::kHeadProjection].weight =
        source.Other(Role::kHeadProjection, {model.embed_size(), model.hidden});
  }
  return out;
}

// As MakeHead normalizes them.
double InverseLength(const TensorView& w, int64_t row) {
  double squares = 0;
  for (int64_t i = 0; i < w.dim(1); ++i) {
    const double v = LoadFloat(w, row * w.dim(1) + i);
    squares += v * v;
  }
  return 1.0 / std::max(std::sqrt(squares), 1e-7);
}

uint64_t Mix(uint64_t x) {  // SplitMix64
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Where the sum of p passes `share` of its total.
int64_t Draw(std::span<const float> p, double share) {
  double total = 0;
  for (const float v : p) total += static_cast<double>(v);
  double left = share * total;
  int64_t last = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] <= 0) continue;
    last = static_cast<int64_t>(i);
    left -= static_cast<double>(p[i]);
    if (left < 0) break;
  }
  return last;
}

}  // namespace

double UniformOf(uint64_t seed, int64_t number) {
  const uint64_t bits = Mix(Mix(seed) ^ static_cast<uint64_t>(number));
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

HeadGradient::HeadGradient(Backend& backend, const WeightSource& source, const HeadSlices& slices)
    : slices_(slices),
      spec_(source.spec().head),
      params_(OtherParams(source)),
      norm_(backend, source.spec().final_norm, Role::kFinalNorm, source.spec().hidden, params_),
      head_(source.Head()),
      factors_(static_cast<size_t>(head_.shape()[0]), static_cast<float>(spec_.scale)) {
  if (source.spec().has_projections()) projection_.emplace(params_, Role::kHeadProjection);
  const Tensor bias = source.HeadBias();
  for (int64_t v = 0; !bias.empty() && v < head_.shape()[0]; ++v) {
    bias_.push_back(LoadFloat(bias.view(), v));
  }
  if (!spec_.normalized_rows) return;
  for (size_t v = 0; v < factors_.size(); ++v) {
    factors_[v] *= static_cast<float>(InverseLength(head_.view(), static_cast<int64_t>(v)));
  }
}

double HeadGradient::Backward(const GradientContext& ctx, const TensorView& x, uint64_t seed,
                              int64_t first_row, const TensorView& grad) const {
  const auto draw = [&](int64_t t, std::span<const float> p) {
    return Draw(p, UniformOf(seed, first_row + t));
  };
  return Run(ctx, x, draw, grad);
}

double HeadGradient::Backward(const GradientContext& ctx, const TensorView& x,
                              std::span<const int32_t> labels, const TensorView& grad) const {
  const auto given = [&](int64_t t, std::span<const float>) -> int64_t {
    return labels[static_cast<size_t>(t)];
  };
  return Run(ctx, x, given, grad);
}

double HeadGradient::Run(const GradientContext& ctx, const TensorView& x, const Choice& choose,
                         const TensorView& grad) const {
  const int64_t chunk = std::max(kLeastRows, slices_.logits / (4 * head_.shape()[0]));
  double loss = 0;
  for (int64_t begin = 0; begin < x.dim(0); begin += chunk) {
    const Workspace::Scope scope(ctx.scratch);
    const int64_t end = std::min(x.dim(0), begin + chunk);
    const TensorView rows = x.Rows(begin, end);
    const TensorView normed = ctx.Take(rows.shape);
    norm_.Forward(ctx, rows, normed);
    if (projection_) {
      const TensorView hidden = ctx.Take({rows.dim(0), head_.shape()[1]});
      projection_->Forward(ctx, normed, hidden);
      loss += ChunkBackward(ctx, begin, choose, hidden);
      GradientContext silent = ctx;
      silent.sink = nullptr;
      projection_->Backward(silent, hidden, normed);
    } else {
      loss += ChunkBackward(ctx, begin, choose, normed);
    }
    norm_.Backward(ctx, rows, normed, grad.Rows(begin, end));
  }
  return loss;
}

double HeadGradient::ChunkBackward(const GradientContext& ctx, int64_t first, const Choice& choose,
                                   const TensorView& hidden) const {
  const TensorView logits = ctx.Take({hidden.dim(0), head_.shape()[0]});
  const auto part = [&](int64_t begin, const TensorView& w) {
    return logits.Columns(begin, begin + w.dim(0));
  };
  ForSlices(ctx, [&](int64_t begin, const TensorView& w) {
    ctx.backend.MatMul(hidden, w, true, part(begin, w));
  });
  const double loss = LossBackward(ctx, first, choose, logits);
  ForSlices(ctx, [&](int64_t begin, const TensorView& w) {
    const TensorView more = begin == 0 ? hidden : ctx.Take(hidden.shape);
    ctx.backend.MatMul(part(begin, w), w, false, more);
    if (begin > 0) ctx.backend.Add(hidden, more);
  });
  return loss;
}

double HeadGradient::LossBackward(const GradientContext& ctx, int64_t first, const Choice& choose,
                                  const TensorView& logits) const {
  const auto columns = static_cast<size_t>(logits.dim(1));
  std::vector<double> losses(static_cast<size_t>(logits.dim(0)));
  ctx.pool.For(logits.dim(0), 4, [&](int64_t begin, int64_t end) {
    std::vector<float> p(columns);
    for (int64_t r = begin; r < end; ++r) {
      const std::span<float> row(logits.As<float>() + r * logits.dim(1), columns);
      losses[static_cast<size_t>(r)] = RowBackward(first + r, choose, row, p);
    }
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

double HeadGradient::RowBackward(int64_t row, const Choice& choose, std::span<float> logits,
                                 std::span<float> p) const {
  const auto scale = static_cast<float>(spec_.scale);
  const auto cap = static_cast<float>(spec_.softcap);
  for (size_t v = 0; v < logits.size(); ++v) logits[v] *= factors_[v];
  for (size_t v = 0; v < bias_.size(); ++v) logits[v] += scale * bias_[v];
  if (cap > 0) {
    for (float& z : logits) z = cap * std::tanh(z / cap);
  }
  std::copy(logits.begin(), logits.end(), p.begin());
  const auto count = static_cast<int64_t>(p.size());
  const float top = MaxOfRow(p.data(), count);
  const double total = ExpOfRow(p.data(), count, top);
  const auto inverse = static_cast<float>(1.0 / total);
  for (float& v : p) v *= inverse;
  const auto label = static_cast<size_t>(choose(row, p));
  AWQ_CHECK(label < p.size(), kInternal, "label ", label, " of a vocabulary of ", p.size());
  const double loss = std::log(total) - static_cast<double>(logits[label] - top);
  p[label] -= 1.0f;
  for (size_t v = 0; v < p.size(); ++v) p[v] *= factors_[v];
  if (cap > 0) {
    for (size_t v = 0; v < p.size(); ++v) p[v] *= 1.0f - (logits[v] / cap) * (logits[v] / cap);
  }
  std::copy(p.begin(), p.end(), logits.begin());
  return loss;
}

void HeadGradient::ForSlices(const GradientContext& ctx,
                             const std::function<void(int64_t, const TensorView&)>& body) const {
  const TensorView& head = head_.view();
  if (head.dtype == DType::kF32) return body(0, head);
  const int64_t size = std::clamp<int64_t>(slices_.weight / (4 * head.dim(1)), 1, head.dim(0));
  std::vector<int32_t> ids(static_cast<size_t>(size));
  std::iota(ids.begin(), ids.end(), 0);
  for (int64_t begin = 0; begin < head.dim(0); begin += size) {
    const Workspace::Scope scope(ctx.scratch);
    const TensorView rows = head.Rows(begin, std::min(head.dim(0), begin + size));
    const TensorView w = ctx.Take(rows.shape);
    ctx.backend.Embed(TensorView(ids.data(), DType::kI32, {rows.dim(0)}), rows, w);
    body(begin, w);
  }
}

}  // namespace awq
