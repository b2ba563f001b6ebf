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
    job.weights.LoadAll(layer);
    FillFewTokens(job.model, job.layer, job.moments);
    for (const LinearShape& shape : QuantizableLinears(job.model, job.layer)) {
      const TensorView& w = DenseWeight(layer, shape.id);
      out[shape.id].tokens = job.moments.at(SiteOf(shape.id)).tokens;
      out[shape.id].alpha = "-";
      if (job.Keeps(shape.id)) continue;
      out[shape.id].error_before =
          RelativeError(job.backend, QuantizeToNearest(job.RuleOf(shape.id), job.pool, w), w,
                        job.moments.at(SiteOf(shape.id)).gram.view());
    }
    ScaleLayer(job, layer, out);
    for (const LinearShape& shape : QuantizableLinears(job.model, job.layer)) {
      job.poll();
      if (job.Keeps(shape.id)) continue;
      Finish(job, shape.id, layer, out[shape.id]);
    }
    return out;
  }

 private:
  // All searches see the unscaled layer; then every scale is applied, to the moments as well.
  static void ScaleLayer(LayerJob& job, LayerParams& layer,
                         std::map<LinearId, QuantizedLinear>& out) {
    std::vector<std::pair<ScaleEdge, ScaleChoice>> choices;
    for (const ScaleEdge& edge : DeriveScaleEdges(job.model, job.layer)) {
      job.poll();
      if (job.Keeps(edge.Quantized().front())) continue;
      ScaleChoice choice = SearchScale(job.backend, job.pool, job.RuleOf(edge.Quantized().front()),
                                       ScaleSearchOptionsOf(job.options), edge, layer,
                                       job.moments.at(SiteOf(edge.consumers.front())));
      for (LinearId id : edge.Quantized()) out[id].alpha = choice.Describe();
      if (!choice.identity) choices.emplace_back(edge, std::move(choice));
    }
    for (auto& [edge, choice] : choices) {
      AdjustToStored(edge, layer, job.vector_type, choice.scale);
      ApplyScale(edge, choice.scale, layer);
      RescaleMoments(edge, choice.scale, job.moments);
    }
  }

  static void Finish(LayerJob& job, LinearId id, LayerParams& layer, QuantizedLinear& out) {
    const TensorView& w = DenseWeight(layer, id);
    const TensorView gram = job.moments.at(SiteOf(id)).gram.view();
    const Tensor target = ConvertTo(w, DType::kF32);
    if (job.options.clip && ClipsRole(id.role)) {
      out.clipped = ClipWeights(job.backend, job.pool, job.RuleOf(id), w, gram);
    }
    out.weight = QuantizeToNearest(job.RuleOf(id), job.pool, w);
    out.error_after = RelativeError(job.backend, out.weight, target.view(), gram);
  }
};

}  // namespace

ScaleSearchOptions ScaleSearchOptionsOf(const MethodOptions& options) {
  constexpr int64_t kRows[] = {128, 256, 512, 0};
  return {.duo = options.duo_scaling, .rows = kRows[options.effort]};
}

std::unique_ptr<QuantMethod> MakeAwqMethod() { return std::make_unique<AwqMethod>(); }

}  // namespace awq
