// AWQ (arXiv:2306.00978): rescale what salient channels see, clip, round to nearest. The losses
// come from second moments; the range contains zero, identity is a candidate on every edge, and a
// scale is adjusted to the norm as it is stored.
#include <cmath>

#include "awq/quant/method/methods.h"
#include "awq/quant/search_clip.h"
#include "awq/quant/search_scale.h"

namespace awq {
namespace {

class AwqMethod : public QuantMethod {
 public:
  bool NeedsCalibration() const override { return true; }
  // Some 24 scales, four losses, and the clip search: a quarter of the candidates of a range, each
  // dearer.
  MethodCost Cost(const MethodOptions& options) const override {
    return {.products = 4,
            .searches = 24,
            .search_rows = ScaleSearchOptionsOf(options).rows,
            .passes = 20,
            .ranges = options.clip ? 0.4 : 0.0,
            .matrices = 1,
            .copies = 2,
            .scratch = int64_t{32} << 20};
  }

  std::map<LinearId, QuantizedLinear> Run(LayerJob& job, LayerParams& layer) const override {
    std::map<LinearId, QuantizedLinear> out;
    const std::vector<ScaleEdge> edges = DeriveScaleEdges(job.model, job.layer);
    const Choices choices = QuantizePart(job, edges, -1, {}, job.moments, layer, out);
    job.moments.clear();
    for (int64_t e = 0; layer.linears.contains({Role::kExpertGate, e}); ++e) {
      std::map<LinearId, SiteMoments> moments = job.expert_moments(e);
      QuantizePart(job, edges, e, choices, moments, layer, out);
    }
    return out;
  }

 private:
  using Choices = std::vector<std::pair<ScaleEdge, ScaleChoice>>;

  // One routed expert, or -1: everything else, whose scales are returned: `outer` for experts. All
  // searches see unscaled weights; then every scale is applied, to the moments as well.
  static Choices QuantizePart(const LayerJob& job, std::span<const ScaleEdge> edges, int64_t expert,
                              const Choices& outer, std::map<LinearId, SiteMoments>& moments,
                              LayerParams& layer, std::map<LinearId, QuantizedLinear>& out) {
    std::vector<LinearId> ids;
    for (const LinearShape& shape : LayerLinears(job.model, job.layer)) {
      if (shape.id.expert != expert) continue;
      job.weights.Load(shape.id, layer);
      if (shape.quantizable) ids.push_back(shape.id);
    }
    for (const LinearId id : ids) NoteBefore(job, id, layer, moments.at(SiteOf(id)), out[id]);
    Choices choices;
    for (const ScaleEdge& edge : edges) {
      if (edge.producer.expert != expert || job.Keeps(edge.Quantized().front())) continue;
      job.poll();
      ScaleChoice choice = SearchScale(job.backend, job.pool, job.RuleOf(edge.Quantized().front()),
                                       ScaleSearchOptionsOf(job.options), edge, layer,
                                       moments.at(SiteOf(edge.consumers.front())));
      for (LinearId id : edge.Quantized()) out[id].alpha = choice.Describe();
      if (!choice.identity) choices.emplace_back(edge, std::move(choice));
    }
    for (const auto& [edge, choice] : outer) {  // their producers have been divided
      const ScaleEdge part = Within(edge, expert);
      for (LinearId id : part.consumers) ScaleColumns(DenseWeight(layer, id), choice.scale);
      RescaleMoments(part, choice.scale, moments);
    }
    for (auto& [edge, choice] : choices) {
      const ScaleEdge part = Within(edge, expert);
      AdjustToStored(part, layer, job.vector_type, choice.scale);
      ApplyScale(part, choice.scale, layer);
      RescaleMoments(part, choice.scale, moments);
    }
    for (const LinearId id : ids) {
      job.poll();
      if (job.Keeps(id)) continue;
      Finish(job, id, layer, moments.at(SiteOf(id)), out[id]);
    }
    return choices;
  }

  // The edge with those of its consumers alone.
  static ScaleEdge Within(const ScaleEdge& edge, int64_t expert) {
    ScaleEdge out = edge;
    std::erase_if(out.consumers, [&](LinearId id) { return id.expert != expert; });
    return out;
  }

  static void NoteBefore(const LayerJob& job, LinearId id, const LayerParams& layer,
                         const SiteMoments& moments, QuantizedLinear& out) {
    out.tokens = moments.tokens;
    if (job.Keeps(id)) return;
    const TensorView& w = DenseWeight(layer, id);
    out.error_before = RelativeError(job.backend, QuantizeToNearest(job.RuleOf(id), job.pool, w), w,
                                     moments.gram.view());
  }

  // The weight is of no use afterwards.
  static void Finish(const LayerJob& job, LinearId id, LayerParams& layer,
                     const SiteMoments& moments, QuantizedLinear& out) {
    const TensorView& w = DenseWeight(layer, id);
    const Tensor target = ConvertTo(w, DType::kF32);
    if (job.options.clip && ClipsRole(id.role)) {
      out.clipped = ClipWeights(job.backend, job.pool, job.RuleOf(id), w, moments.gram.view());
    }
    out.weight = QuantizeToNearest(job.RuleOf(id), job.pool, w);
    out.error_after = RelativeError(job.backend, out.weight, target.view(), moments.gram.view());
    layer.linears.at(id).weight = Tensor();
  }
};

}  // namespace

ScaleSearchOptions ScaleSearchOptionsOf(const MethodOptions& options) {
  constexpr int64_t kRows[] = {128, 256, 512, 0};
  return {.duo = options.duo_scaling, .rows = kRows[options.effort]};
}

std::unique_ptr<QuantMethod> MakeAwqMethod() { return std::make_unique<AwqMethod>(); }

}  // namespace awq
