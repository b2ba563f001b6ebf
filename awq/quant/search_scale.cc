#include "awq/quant/search_scale.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

namespace awq {

std::string ScaleChoice::Describe() const {
  if (identity) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f%s", ratio, duo ? " duo" : "");
  return text;
}

ScaleStats CollectScaleStats(const ScaleEdge& edge, const LayerParams& layer,
                             std::span<const float> mean_abs, const QuantScheme& scheme) {
  const auto channels = static_cast<size_t>(edge.channels);
  std::vector<double> x(channels), w(channels);
  const auto columns = static_cast<int64_t>(mean_abs.size());
  for (int64_t c = 0; c < columns; ++c) {
    x[static_cast<size_t>(edge.Channel(c))] +=
        static_cast<double>(mean_abs[static_cast<size_t>(c)]);
  }
  int64_t rows = 0;
  for (LinearId id : edge.Quantized()) {
    const TensorView& stored = DenseWeight(layer, id);
    const Tensor copy = stored.dtype == DType::kF32 ? Tensor() : ConvertTo(stored, DType::kF32);
    const TensorView& weight = copy.empty() ? stored : copy.view();
    const int64_t group = scheme.GroupSize(columns);
    rows += weight.dim(0);
    for (int64_t r = 0; r < weight.dim(0); ++r) {
      const float* row = weight.As<const float>() + r * columns;
      for (int64_t g = 0; g < columns; g += group) {
        const int64_t end = std::min(g + group, columns);
        float top = 0;
        for (int64_t c = g; c < end; ++c) top = std::max(top, std::abs(row[c]));
        const float inverse = 1.0f / (top + 1e-6f);
        for (int64_t c = g; c < end; ++c) {
          w[static_cast<size_t>(edge.Channel(c))] +=
              static_cast<double>(std::abs(row[c]) * inverse);
        }
      }
    }
  }
  ScaleStats out;
  for (size_t c = 0; c < channels; ++c) {
    const auto repeat = static_cast<double>(edge.repeat);
    out.x.push_back(static_cast<float>(x[c] / repeat));
    out.w.push_back(static_cast<float>(w[c] / (repeat * static_cast<double>(rows))));
  }
  return out;
}

int64_t JudgeStep(int64_t experts) {
  constexpr int64_t kJudges = 16;
  return std::max<int64_t>(1, experts / kJudges);
}

namespace {

// The consumers whose error a candidate is scored by: all that are quantized, of experts a sample.
std::vector<LinearId> Judged(const ScaleEdge& edge) {
  int64_t experts = 0;
  for (LinearId id : edge.Quantized()) experts = std::max<int64_t>(experts, id.expert + 1);
  const int64_t step = edge.consumers.size() == 1 ? 1 : JudgeStep(experts);
  std::vector<LinearId> out;
  for (LinearId id : edge.Quantized()) {
    if (id.expert < 0 || id.expert % step == 0) out.push_back(id);
  }
  return out;
}

}  // namespace

std::vector<float> CandidateScale(const ScaleStats& stats, double ratio, bool duo) {
  std::vector<float> s(stats.x.size());
  const auto r = static_cast<float>(ratio);
  for (size_t c = 0; c < s.size(); ++c) {
    float value = std::pow(stats.x[c], r);
    if (duo) value /= std::pow(stats.w[c], 1 - r) + 1e-4f;
    s[c] = std::max(value, 1e-4f);
  }
  const auto [lo, hi] = std::minmax_element(s.begin(), s.end());
  const float norm = std::sqrt(*lo * *hi);
  for (float& v : s) {
    v /= norm;
    if (!std::isfinite(v)) v = 1;
  }
  return s;
}

std::vector<float> ExpandScale(const ScaleEdge& edge, std::span<const float> s, int64_t columns) {
  std::vector<float> out(static_cast<size_t>(columns));
  for (int64_t c = 0; c < columns; ++c) {
    out[static_cast<size_t>(c)] = s[static_cast<size_t>(edge.Channel(c))];
  }
  return out;
}

void RescaleMoments(const ScaleEdge& edge, std::span<const float> s, SiteMoments& moments) {
  std::vector<float> inverse = ExpandScale(edge, s, static_cast<int64_t>(moments.mean_abs.size()));
  for (float& v : inverse) v = 1.0f / v;
  for (size_t i = 0; i < inverse.size(); ++i) moments.mean_abs[i] *= inverse[i];
  for (Tensor* gram : {&moments.gram, &moments.sampled_gram, &moments.drift}) {
    if (!gram->empty()) ScaleGramInPlace(gram->view(), inverse);
  }
  if (moments.output_drift.empty()) return;
  const auto values = moments.output_drift.view().Span<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] *= inverse[i % inverse.size()];
}

void RescaleMoments(const ScaleEdge& edge, std::span<const float> s,
                    std::map<LinearId, SiteMoments>& sites) {
  std::set<LinearId> done;
  for (LinearId id : edge.consumers) {
    const LinearId site = SiteOf(id);
    if (done.insert(site).second) RescaleMoments(edge, s, sites.at(site));
  }
}

namespace {

// At most `most` rows of w, evenly spaced; 0: all.
Tensor SampleRows(const TensorView& w, int64_t most) {
  const int64_t stride = most > 0 ? (w.dim(0) + most - 1) / most : 1;
  TensorView rows = w;
  rows.shape[0] = (w.dim(0) + stride - 1) / stride;
  rows.strides[0] *= stride;
  return ConvertTo(rows, DType::kF32);
}

}  // namespace

ScaleChoice SearchScale(Backend& backend, ThreadPool& pool, const GridRule& rule,
                        const ScaleSearchOptions& options, const ScaleEdge& edge,
                        const LayerParams& layer, const SiteMoments& moments) {
  const ScaleStats stats = CollectScaleStats(edge, layer, moments.mean_abs, rule.scheme);
  const auto columns = static_cast<int64_t>(moments.mean_abs.size());
  std::vector<Tensor> weights;
  int64_t most_rows = 0;
  for (LinearId id : Judged(edge)) {
    weights.push_back(SampleRows(DenseWeight(layer, id), options.rows));
    most_rows = std::max(most_rows, weights.back().shape()[0]);
  }
  const Tensor delta = MakeTensor(DType::kF32, {most_rows, columns});
  const auto loss_of = [&](std::span<const float> s) {
    const std::vector<float> expanded =
        s.empty() ? std::vector<float>() : ExpandScale(edge, s, columns);
    double loss = 0;
    for (const Tensor& w : weights) {
      const TensorView error = delta.view().Rows(0, w.shape()[0]);
      QuantizationError(rule, pool, w.view(), expanded, error);
      loss += GramLoss(backend, error, moments.gram.view());
    }
    return loss;
  };

  ScaleChoice best;
  best.scale.assign(static_cast<size_t>(edge.channels), 1.0f);
  best.identity_loss = best.loss = loss_of({});
  AWQ_CHECK(std::isfinite(best.loss), kInternal, LinearName(edge.Quantized().front()),
            ": the quantization loss is not finite");
  const auto attempt = [&](double ratio, bool duo) {
    std::vector<float> s = CandidateScale(stats, ratio, duo);
    const double loss = loss_of(s);
    if (loss < best.loss) {
      best = {std::move(s), ratio, duo, false, loss, best.identity_loss};
    }
  };
  for (const bool duo : {false, true}) {
    if (duo && !options.duo) continue;
    for (int i = duo ? 0 : 1; i <= 10; ++i) attempt(i / 10.0, duo);
  }
  if (!best.identity) {
    const double center = best.ratio;
    const bool duo = best.duo;
    if (center > 0) attempt(center - 0.05, duo);
    if (center < 1) attempt(center + 0.05, duo);
  }
  return best;
}

}  // namespace awq
