// Methods that follow the inputs of the quantized prefix, linear after linear in true sequence:
// GPTQ (arXiv:2210.17323, static groups, columns by falling diagonal) and joint, which adds to it
// AWQ's scales, targets corrected for the drift of the inputs, searched ranges, coordinate descent
// on the codes and least-squares scales.
#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "awq/quant/method/methods.h"
#include "awq/quant/output_metric.h"
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
  int64_t weighed = 0;      // one of so many blocks is run backwards for the metric; 0: none
  int64_t least = 32;       // of them
};

// Of a metric, in parts of its mean diagonal: the fewer gradients, the more.
double MetricDamping(int64_t tokens, int64_t columns) {
  return 0.3 + 8.0 * static_cast<double>(columns) / static_cast<double>(tokens);
}

// Where a linear is quantized: behind the one norm of a parallel block gate and up read what q
// does.
LinearId SiteIn(const LayerSpec& layer, LinearId id) {
  const LinearId site = SiteOf(id);
  return layer.residual == Residual::kParallel && site.role == Role::kGate ? Role::kQ : site;
}

Recipe GptqRecipe(int /*effort*/) {
  return {.rescale = false, .correction = 0, .descents = 0, .refits = 0};
}

Recipe JointRecipe(int effort) {
  constexpr int kDescents[] = {1, 1, 2, 3};
  constexpr int kRefits[] = {0, 1, 3, 6};
  constexpr int64_t kWeighed[] = {0, 8, 4, 1};
  constexpr int64_t kLeast[] = {0, 16, 32, 32};
  return {.descents = kDescents[effort],
          .refits = kRefits[effort],
          .weighed = kWeighed[effort],
          .least = kLeast[effort]};
}

class SequentialMethod : public QuantMethod {
 public:
  explicit SequentialMethod(Recipe (*recipe)(int effort)) : recipe_of_(recipe) {}
  bool NeedsCalibration() const override { return true; }
  bool FollowsPrefix() const override { return true; }
  int64_t WeighedBlocks(const MethodOptions& options, int64_t blocks) const override {
    const Recipe recipe = recipe_of_(options.effort);
    if (recipe.weighed == 0) return 0;
    return std::max(blocks / recipe.weighed, std::min(blocks, recipe.least));
  }
  // Products: four losses, rounding a half, a descent one, a refit one and a half; the correction
  // one for the drift, one for solving.
  MethodCost Cost(const MethodOptions& options) const override {
    const Recipe recipe = recipe_of_(options.effort);
    const double descents = recipe.descents + recipe.refits;
    return {.products = 4.5 + descents + 1.5 * recipe.refits + (recipe.correction > 0 ? 2 : 0.5),
            .searches = recipe.rescale ? 24.0 : 0.0,
            .search_rows = ScaleSearchOptionsOf(options).rows,
            .passes = 20 + descents + 2.0 * recipe.refits,
            .ranges = !options.clip                   ? 0.0
                      : options.rule.scheme.symmetric ? 1.0 / 3
                                                      : 1.0,
            .descents = 1 + descents,
            .couplings = recipe.weighed == 0 ? 0 : 0.5 + descents + recipe.refits,
            .matrices = 2,
            .copies = recipe.weighed == 0 ? 3 : 5};
  }

  std::map<LinearId, QuantizedLinear> Run(LayerJob& job, LayerParams& layer) const override {
    const Recipe recipe = recipe_of_(job.options.effort);
    // `layer` is about to change; what the full-precision stream runs on must not.
    const LayerParams original = ShareAll(layer);
    CopyVectors(layer);
    std::map<LinearId, QuantizedLinear> out;
    std::vector<LinearId> sites;  // in the order in which they are computed
    std::map<LinearId, std::vector<LinearId>> readers;
    for (const LinearShape& shape : LayerLinears(job.model, job.layer)) {
      const LinearId site = SiteIn(job.model.layers[static_cast<size_t>(job.layer)], shape.id);
      if (!readers.contains(site)) sites.push_back(site);
      auto& list = readers[site];
      if (shape.quantizable) list.push_back(shape.id);
    }

    std::set<LinearId> loaded;      // as f32 copies
    std::vector<float> norm_scale;  // of what experts read
    for (const LinearId site : sites) {
      const std::vector<LinearId>& ids = readers.at(site);
      Load(job, ids, norm_scale, layer, loaded);
      SiteMoments moments = job.pair->Observe(site, original, layer, job.poll);
      CheckFinite(job.layer, site, moments);
      for (LinearId id : ids) {
        out[id].tokens = moments.tokens;
        if (job.Keeps(id)) {
          out[id].error_before = 0;
          continue;
        }
        if (site.role == Role::kExpertGate && !norm_scale.empty()) {
          // Rescaled already: plain rounding is judged as it would have been.
          const Tensor gram = ScaleGram(moments.gram.view(), norm_scale);
          NoteErrorBefore(job, id, original, gram.view(), out);
        } else {
          NoteErrorBefore(job, id, layer, moments.gram.view(), out);
        }
      }
      if (ids.empty() || !job.Keeps(ids.front())) {
        if (recipe.rescale) {
          std::vector<float> scale = Rescale(job, site, norm_scale, layer, moments, loaded, out);
          if (site.role == Role::kRouter) norm_scale = std::move(scale);
        }
        if (!ids.empty()) QuantizeSite(job, recipe, ids, moments, layer, out);
      }
      if (site == Role::kO) job.pair->Advance(site, original, layer, job.poll);
    }
    job.pair->Advance(Role::kDown, original, layer, job.poll);
    for (auto& [id, linear] : out) {
      auto* quantized = std::get_if<QuantizedWeight>(&layer.linears.at(id).weight);
      if (quantized != nullptr) linear.weight = std::move(*quantized);
    }
    return out;
  }

 private:
  // Of plain rounding, once a linear: a scale may reach it before its site's turn.
  static void NoteErrorBefore(const LayerJob& job, LinearId id, const LayerParams& layer,
                              const TensorView& gram, std::map<LinearId, QuantizedLinear>& out) {
    QuantizedLinear& linear = out[id];
    if (linear.error_before >= 0) return;
    const Tensor w = ConvertTo(DenseWeight(layer, id), DType::kF32);
    linear.error_before = RelativeError(
        job.backend, QuantizeToNearest(job.RuleOf(id), job.pool, w.view()), w.view(), gram);
  }

  // Those of an expert that read the norm: too many to have f32 copies at a time.
  static bool ReadsNorm(LinearId id) { return SiteOf(id).role == Role::kExpertGate; }

  // f32 copies of those that are not yet; an expert's get the scale of its norm at that.
  static void Load(const LayerJob& job, std::span<const LinearId> ids,
                   std::span<const float> norm_scale, LayerParams& layer,
                   std::set<LinearId>& loaded) {
    for (LinearId id : ids) {
      if (!loaded.insert(id).second) continue;
      job.weights.Load(id, layer);
      if (ReadsNorm(id) && !norm_scale.empty()) ScaleColumns(DenseWeight(layer, id), norm_scale);
    }
  }

  // Returns what the site's input has been divided by; empty if it has not. Experts are left to
  // Load().
  static std::vector<float> Rescale(LayerJob& job, LinearId site, std::span<const float> norm_scale,
                                    LayerParams& layer, SiteMoments& moments,
                                    std::set<LinearId>& loaded,
                                    std::map<LinearId, QuantizedLinear>& out) {
    std::vector<float> applied;
    for (const ScaleEdge& edge : DeriveScaleEdges(job.model, job.layer)) {
      if (SiteOf(edge.consumers.front()) != site) continue;
      ScaleEdge now = edge;
      std::erase_if(now.consumers, ReadsNorm);
      Load(job, now.consumers, norm_scale, layer, loaded);
      ScaleChoice choice = SearchScale(job.backend, job.pool, job.RuleOf(site),
                                       ScaleSearchOptionsOf(job.options), edge, layer, moments);
      for (LinearId id : edge.Quantized()) {
        // Of its own input, when its turn comes.
        if (id.expert < 0) NoteErrorBefore(job, id, layer, moments.gram.view(), out);
        out[id].alpha = choice.Describe();
      }
      if (choice.identity) continue;
      AdjustToStored(edge, layer, job.vector_type, choice.scale);
      ApplyScale(now, choice.scale, layer);
      RescaleMoments(edge, choice.scale, moments);
      applied = ExpandScale(edge, choice.scale, static_cast<int64_t>(moments.mean_abs.size()));
      job.pair->Rescale(applied);
    }
    return applied;
  }

  // Columns whose moments are kept apart are rounded apart.
  static void QuantizeSite(const LayerJob& job, const Recipe& recipe,
                           const std::vector<LinearId>& ids, const SiteMoments& moments,
                           LayerParams& layer, std::map<LinearId, QuantizedLinear>& out) {
    const GridRule rule = job.RuleOf(ids.front());
    std::map<LinearId, Tensor> metrics;
    for (LinearId id : ids) {
      metrics[id] = MetricOf(job, id);
      const Shape& shape = DenseWeight(layer, id).shape;
      out[id].weight = MakeQuantizedWeight(rule.scheme, shape[0], shape[1], rule.scale_type);
    }
    for (const DiagonalBlock& block : DiagonalBlocks(moments.gram.view())) {
      const Hessian hessian =
          MakeHessian(job.backend, ViewOf(moments.gram.view(), block), recipe.damping);
      for (LinearId id : ids) {
        job.poll();
        RoundColumns(job, recipe, DenseWeight(layer, id), block, hessian, moments, metrics[id],
                     out[id]);
      }
    }
    for (LinearId id : ids) {
      QuantizedLinear& linear = out[id];
      linear.error_after =
          RelativeError(job.backend, linear.weight, DenseWeight(layer, id), moments.gram.view());
      AWQ_CHECK(std::isfinite(linear.error_after), kInternal, LinearName(id),
                ": the quantization loss is not finite");
      layer.linears.at(id).weight = std::move(linear.weight);
    }
  }

  static Tensor MetricOf(const LayerJob& job, LinearId id) {
    const Tensor sums = job.metric ? job.metric(id) : Tensor();
    if (sums.empty()) return {};
    return MakeOutputMetric(sums.view(), MetricDamping(job.metric_tokens, sums.shape()[1]));
  }

  static void RoundColumns(const LayerJob& job, const Recipe& recipe, const TensorView& w,
                           const DiagonalBlock& block, const Hessian& hessian,
                           const SiteMoments& moments, const Tensor& metric, QuantizedLinear& out) {
    Rounding rounding;
    if (!metric.empty()) rounding.metric = ConvertTo(metric.view(), DType::kF32);
    rounding.rule = job.options.rule;
    rounding.rule.scheme = out.weight.scheme;
    rounding.target = ConvertTo(w.Columns(block.begin, block.end), DType::kF32);
    if (recipe.correction > 0 && !(moments.drift.empty() && moments.output_drift.empty())) {
      Tensor product;
      if (moments.output_drift.empty()) {
        product = MakeTensor(DType::kF32, rounding.target.shape());
        job.backend.MatMul(rounding.target.view(), ViewOf(moments.drift.view(), block), false,
                           product.view());
      } else {
        product =
            ConvertTo(moments.output_drift.view().Columns(block.begin, block.end), DType::kF32);
      }
      CorrectTarget(job.backend, hessian, product.view(), recipe.correction,
                    rounding.target.view());
    }
    RangeGrids grids = SearchRanges(job.backend, job.pool, rounding.rule, rounding.target.view(),
                                    hessian.gram.view(), job.options.clip);
    out.clipped +=
        grids.clipped * static_cast<double>(rounding.k()) / static_cast<double>(w.dim(1));
    rounding.scales = std::move(grids.scales);
    rounding.zeros = std::move(grids.zeros);
    rounding.steps = MakeTensor(DType::kF32, rounding.target.shape());
    RoundBothWays(job.backend, job.pool, hessian, rounding);
    for (int i = 0; i < recipe.descents; ++i) {
      DescendCodes(job.backend, job.pool, hessian, rounding);
    }
    for (int i = 0; i < recipe.refits; ++i) {
      RefitScales(job.backend, job.pool, hessian, rounding);
      DescendCodes(job.backend, job.pool, hessian, rounding);
    }
    StoreColumns(rounding, block.begin, out.weight);
  }

  Recipe (*recipe_of_)(int effort);
};

}  // namespace

std::unique_ptr<QuantMethod> MakeGptqMethod() {
  return std::make_unique<SequentialMethod>(&GptqRecipe);
}

std::unique_ptr<QuantMethod> MakeJointMethod() {
  return std::make_unique<SequentialMethod>(&JointRecipe);
}

}  // namespace awq
