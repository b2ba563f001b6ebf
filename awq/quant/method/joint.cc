// Methods that follow the inputs of the quantized prefix, linear after linear in true sequence:
// GPTQ (arXiv:2210.17323, static groups, columns by falling diagonal) and joint, which adds to it
// AWQ's scales, targets corrected for the drift of the inputs, searched ranges, coordinate descent
// on the codes and least-squares scales.
#include <cmath>

#include "awq/quant/method/methods.h"
#include "awq/quant/search_range.h"
#include "awq/quant/search_scale.h"

namespace awq {
namespace {

struct Recipe {
  bool rescale = true;      // AWQ's scales
  double correction = 0.5;  // strength of the target's correction for drift
  int descents = 2;         // passes of coordinate descent after rounding
  int refits = 3;           // rounds of scale refit and one more pass
  double damping = 0.01;    // of the Gram matrix
};

class SequentialMethod : public QuantMethod {
 public:
  explicit SequentialMethod(const Recipe& recipe) : recipe_(recipe) {}
  bool NeedsCalibration() const override { return true; }
  bool FollowsPrefix() const override { return true; }
  // Four losses, some 24 scales, the correction, and a descent or refit for each step.
  MethodCost Cost(const MethodOptions&) const override {
    const double steps = recipe_.descents + 3.0 * recipe_.refits;
    return {.products = 5 + steps + (recipe_.rescale ? 24 : 0) + (recipe_.correction > 0 ? 3 : 0),
            .passes = 40 + 4 * steps,
            .matrices = 2,
            .copies = 3};
  }

  std::map<Role, QuantizedLinear> Run(LayerJob& job, LayerParams& layer) const override {
    // `layer` is about to change; what the full-precision stream runs on must not.
    const LayerParams original = ShareAll(layer);
    CopyVectors(layer);
    std::map<Role, QuantizedLinear> out;
    std::map<Role, std::vector<Role>> sites;
    for (const LinearShape& shape : LayerLinears(job.model, job.layer)) {
      sites[SiteOf(shape.role)].push_back(shape.role);
    }
    for (const Role site : {Role::kQ, Role::kO, Role::kGate, Role::kDown}) {
      SiteMoments moments = job.pair->Observe(site, original, layer, job.poll);
      for (Role role : sites.at(site)) job.weights.Load(role, layer);
      for (Role role : sites.at(site)) {
        const TensorView& w = DenseWeight(layer, role);
        out[role].error_before = RelativeError(
            job.backend, QuantizeToNearest(job.options.rule, job.pool, w), w, moments.gram.view());
      }
      if (recipe_.rescale) Rescale(job, site, layer, moments, out);
      QuantizeSite(job, sites.at(site), moments, layer, out);
      if (site == Role::kO || site == Role::kDown) {
        job.pair->Advance(site, original, layer, job.poll);
      }
    }
    for (auto& [role, linear] : out) {
      linear.weight = std::move(std::get<QuantizedWeight>(layer.linears.at(role).weight));
    }
    return out;
  }

 private:
  static void Rescale(LayerJob& job, Role site, LayerParams& layer, SiteMoments& moments,
                      std::map<Role, QuantizedLinear>& out) {
    for (const ScaleEdge& edge : DeriveScaleEdges(job.model, job.layer)) {
      if (SiteOf(edge.consumers.front()) != site) continue;
      ScaleChoice choice = SearchScale(job.backend, job.pool, job.options.rule,
                                       {.duo = job.options.duo_scaling}, edge, layer, moments);
      for (Role role : edge.consumers) out[role].alpha = choice.Describe();
      if (choice.identity) continue;
      AdjustToStored(edge, layer, job.vector_type, choice.scale);
      ApplyScale(edge, choice.scale, layer);
      RescaleMoments(edge, choice.scale, moments);
      job.pair->Rescale(
          ExpandScale(edge, choice.scale, static_cast<int64_t>(moments.mean_abs.size())));
    }
  }

  // Columns whose moments are kept apart are rounded apart.
  void QuantizeSite(const LayerJob& job, const std::vector<Role>& roles, const SiteMoments& moments,
                    LayerParams& layer, std::map<Role, QuantizedLinear>& out) const {
    const GridRule& rule = job.options.rule;
    for (Role role : roles) {
      const Shape& shape = DenseWeight(layer, role).shape;
      out[role].weight = MakeQuantizedWeight(rule.scheme, shape[0], shape[1], rule.scale_type);
    }
    for (const DiagonalBlock& block : DiagonalBlocks(moments.gram.view())) {
      const Hessian hessian =
          MakeHessian(job.backend, ViewOf(moments.gram.view(), block), recipe_.damping);
      for (Role role : roles) {
        job.poll();
        RoundColumns(job, DenseWeight(layer, role), block, hessian, moments, out[role]);
      }
    }
    for (Role role : roles) {
      QuantizedLinear& linear = out[role];
      linear.error_after =
          RelativeError(job.backend, linear.weight, DenseWeight(layer, role), moments.gram.view());
      AWQ_CHECK(std::isfinite(linear.error_after), kInternal,
                "the quantization loss is not finite");
      layer.linears.at(role).weight = std::move(linear.weight);
    }
  }

  void RoundColumns(const LayerJob& job, const TensorView& w, const DiagonalBlock& block,
                    const Hessian& hessian, const SiteMoments& moments,
                    QuantizedLinear& out) const {
    Rounding rounding;
    rounding.rule = job.options.rule;
    rounding.target = ConvertTo(w.Columns(block.begin, block.end), DType::kF32);
    if (recipe_.correction > 0) {
      CorrectTarget(job.backend, hessian, ViewOf(moments.drift.view(), block), recipe_.correction,
                    rounding.target.view());
    }
    RangeGrids grids = SearchRanges(job.backend, job.pool, job.options.rule, rounding.target.view(),
                                    hessian.gram.view(), job.options.clip);
    out.clipped +=
        grids.clipped * static_cast<double>(rounding.k()) / static_cast<double>(w.dim(1));
    rounding.scales = std::move(grids.scales);
    rounding.zeros = std::move(grids.zeros);
    rounding.steps = MakeTensor(DType::kF32, rounding.target.shape());
    RoundWithFeedback(job.backend, job.pool, hessian, rounding);
    for (int i = 0; i < recipe_.descents; ++i) {
      DescendCodes(job.backend, job.pool, hessian, rounding);
    }
    for (int i = 0; i < recipe_.refits; ++i) {
      RefitScales(job.backend, job.pool, hessian, rounding);
      DescendCodes(job.backend, job.pool, hessian, rounding);
    }
    StoreColumns(rounding, block.begin, out.weight);
  }

  Recipe recipe_;
};

}  // namespace

std::unique_ptr<QuantMethod> MakeGptqMethod() {
  return std::make_unique<SequentialMethod>(
      Recipe{.rescale = false, .correction = 0, .descents = 0, .refits = 0});
}

std::unique_ptr<QuantMethod> MakeJointMethod() {
  return std::make_unique<SequentialMethod>(Recipe{});
}

}  // namespace awq
