// AutoAWQ's own choices (version 0.2.9), for verification: twenty duo ratios below 1 without
// identity, outputs of whole modules compared by replaying them, ranges that may exclude zero,
// symmetric clipping on at most 1023 tokens, v → o only between weights of one shape, f16
// arithmetic in the packer.
#include <algorithm>
#include <cmath>

#include "awq/quant/method/methods.h"
#include "awq/quant/search_clip.h"
#include "awq/quant/search_scale.h"

namespace awq {
namespace {

constexpr int kGridPoints = 20;
constexpr int64_t kClipTokens = 512;

GridRule AutoAwqRule(GridRule rule, bool packing) {
  rule.include_zero = false;
  rule.symmetric_span = 7.0f;
  rule.f16_arithmetic = packing;
  return rule;
}

// Shares every tensor of the layer but the weights of `roles`, which become Q(w · s) / s.
LayerParams WithQuantized(const LayerJob& job, const GridRule& rule, const LayerParams& layer,
                          const ScaleEdge& edge, std::span<const float> s) {
  LayerParams out = layer.Share();
  for (LinearId id : edge.consumers) {
    const TensorView& w = DenseWeight(layer, id);
    Tensor changed = MakeTensor(DType::kF32, w.shape);
    QuantizationError(rule, job.pool, w, ExpandScale(edge, s, w.dim(1)), changed.view());
    const float* original = w.As<const float>();
    float* value = changed.As<float>();
    for (int64_t i = 0; i < w.NumElements(); ++i) value[i] += original[i];
    out.linears[id].weight = std::move(changed);
  }
  return out;
}

class AutoAwqMethod : public QuantMethod {
 public:
  bool NeedsCalibration() const override { return true; }
  MethodCost Cost(const MethodOptions&) const override {
    return {.products = 24, .passes = 60, .matrices = 1, .copies = 2};
  }
  bool ReplaysInputs() const override { return true; }
  int64_t SampleStride(int64_t tokens) const override {
    return std::max<int64_t>(1, tokens / kClipTokens);
  }

  std::map<LinearId, QuantizedLinear> Run(LayerJob& job, LayerParams& layer) const override {
    CheckBlock(job);
    const GridRule search = AutoAwqRule(job.options.rule, false);
    const GridRule pack = AutoAwqRule(job.options.rule, true);
    std::map<LinearId, QuantizedLinear> out;
    job.weights.LoadAll(layer);
    for (const LinearShape& shape : QuantizableLinears(job.model, job.layer)) {
      const TensorView& w = DenseWeight(layer, shape.id);
      out[shape.id].error_before = RelativeError(job.backend, QuantizeToNearest(pack, job.pool, w),
                                                 w, GramOf(job, shape.id));
    }
    std::vector<std::pair<ScaleEdge, std::vector<float>>> scales;
    for (const ScaleEdge& edge : DeriveScaleEdges(job.model, job.layer)) {
      if (!UsedByAutoAwq(edge, layer)) continue;
      const auto [ratio, s] = Search(job, search, edge, layer);
      ScaleChoice choice;
      choice.ratio = ratio;
      choice.duo = job.options.duo_scaling;
      choice.identity = false;
      for (LinearId id : edge.consumers) out[id].alpha = choice.Describe();
      scales.emplace_back(edge, s);
    }
    for (const auto& [edge, s] : scales) {
      ApplyScale(edge, s, layer);
      RescaleMoments(edge, s, job.moments);
    }
    for (const LinearShape& shape : QuantizableLinears(job.model, job.layer)) {
      job.poll();
      const TensorView& w = DenseWeight(layer, shape.id);
      const Tensor target = ConvertTo(w, DType::kF32);
      QuantizedLinear& linear = out[shape.id];
      if (job.options.clip && ClipsRole(shape.id.role)) {
        linear.clipped = ClipWeights(job.backend, job.pool, search, w,
                                     job.moments.at(SiteOf(shape.id)).sampled_gram.view());
      }
      linear.weight = QuantizeToNearest(pack, job.pool, w);
      linear.error_after =
          RelativeError(job.backend, linear.weight, target.view(), GramOf(job, shape.id));
    }
    return out;
  }

 private:
  // What is replayed here is the block of Llama and its relatives.
  static void CheckBlock(const LayerJob& job) {
    const LayerSpec& layer = job.model.layers[static_cast<size_t>(job.layer)];
    const auto* mlp = std::get_if<MlpSpec>(&layer.ffn);  // of routed experts AutoAWQ's scales miss
                                                         // the router: another model would result
    AWQ_CHECK(layer.residual == Residual::kSequential && mlp != nullptr && mlp->gated, kUnsupported,
              "--autoawq-parity: not for ", job.model.arch,
              "; supported: sequential blocks with a gated MLP (llama, mistral, qwen2, qwen3, …)");
  }

  static TensorView GramOf(LayerJob& job, LinearId id) {
    return job.moments.at(SiteOf(id)).gram.view();
  }

  static bool UsedByAutoAwq(const ScaleEdge& edge, const LayerParams& layer) {
    return edge.producer.role != Role::kV ||
           DenseWeight(layer, Role::kV).shape == DenseWeight(layer, Role::kO).shape;
  }

  static std::pair<double, std::vector<float>> Search(LayerJob& job, const GridRule& rule,
                                                      const ScaleEdge& edge,
                                                      const LayerParams& layer) {
    const SiteMoments& moments = job.moments.at(SiteOf(edge.consumers.front()));
    const ScaleStats stats = CollectScaleStats(edge, layer, moments.mean_abs, rule.scheme);
    std::vector<std::vector<float>> candidates;
    for (int i = 0; i < kGridPoints; ++i) {
      candidates.push_back(
          CandidateScale(stats, static_cast<double>(i) / kGridPoints, job.options.duo_scaling));
    }
    const auto variant = [&](int64_t i) {
      return WithQuantized(job, rule, layer, edge, candidates[static_cast<size_t>(i)]);
    };
    std::vector<double> losses;
    if (edge.consumers.size() > 1) {  // several linears: the output of the module around them
      const LayerPart part =
          edge.producer.role == Role::kAttnNorm ? LayerPart::kAttention : LayerPart::kMlp;
      losses = job.runner->PartLosses(part, layer, kGridPoints, variant, job.poll);
    } else {
      const LinearId id = edge.consumers.front();
      const TensorView& w = DenseWeight(layer, id);
      const Tensor delta = MakeTensor(DType::kF32, w.shape);
      for (const auto& s : candidates) {
        job.poll();
        QuantizationError(rule, job.pool, w, ExpandScale(edge, s, w.dim(1)), delta.view());
        losses.push_back(GramLoss(job.backend, delta.view(), moments.gram.view()));
      }
    }
    size_t best = 0;
    for (size_t i = 0; i < losses.size(); ++i) {
      AWQ_CHECK(std::isfinite(losses[i]), kInternal, "the quantization loss is not finite");
      if (losses[i] < losses[best]) best = i;
    }
    return {static_cast<double>(best) / kGridPoints, candidates[best]};
  }
};

}  // namespace

std::unique_ptr<QuantMethod> MakeAutoAwqMethod() { return std::make_unique<AutoAwqMethod>(); }

}  // namespace awq
