// QuantMethod: how the weights of one layer become codes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/threads.h"
#include "awq/quant/grid.h"
#include "awq/quant/layer_pair.h"
#include "awq/quant/layer_runner.h"
#include "awq/quant/layer_weights.h"
#include "awq/quant/moments.h"
#include "awq/quant/scale_edges.h"

namespace awq {

struct MethodOptions {
  GridRule rule;
  int effort = 2;  // 0 fastest … 3 best
  bool clip = true;
  bool duo_scaling = true;
  // By layer and site, where they differ from the rule's. Of 16 bits: not quantized.
  std::map<std::pair<int64_t, Role>, QuantScheme> schemes = {};

  QuantScheme SchemeOf(int64_t layer, LinearId id) const {
    const auto it = schemes.find({layer, SiteOf(id).role});
    return it == schemes.end() ? rule.scheme : it->second;
  }
};

// What a method is given beside the layer itself.
struct LayerJob {
  Backend& backend;
  ThreadPool& pool;
  const ModelSpec& model;
  int64_t layer = 0;
  const MethodOptions& options;
  // Turns linears of the layer into f32 copies that can be changed.
  const LayerWeights& weights;
  // Empty for methods that need no calibration.
  std::map<LinearId, SiteMoments> moments;
  // Replays parts of the layer on its calibration inputs, for methods that do.
  LayerRunner* runner = nullptr;
  // Runs the layer on both streams for methods that follow the quantized prefix, which advance it.
  LayerPair* pair = nullptr;
  // The type each norm is stored in: a scale is adjusted so that the rounded norm times it is
  // exact.
  DType vector_type = DType::kF32;
  std::function<void()> poll;  // throws kCancelled when the user stops
  // What errors of a linear's outputs cost (see output_metric.h), as sums; null, or empty: unknown.
  std::function<Tensor(LinearId)> metric = nullptr;
  int64_t metric_tokens = 0;  // that the sums are of
  // The moments of what one routed expert reads, which are gathered now; null where `moments` has
  // them.
  std::function<std::map<LinearId, SiteMoments>(int64_t expert)> expert_moments = nullptr;

  // How a linear is rounded, the same for all of its site.
  GridRule RuleOf(LinearId id) const {
    GridRule rule = options.rule;
    rule.scheme = options.SchemeOf(layer, id);
    return rule;
  }
  // Whether it stays in 16 bits; it may still be rescaled for the sake of its neighbours.
  bool Keeps(LinearId id) const { return RuleOf(id).scheme.bits == 16; }
};

// What Run() costs beside the forward passes and the moments; for plan.h.
struct MethodCost {
  double products = 0;  // f32 products of each linear's [N, K] with a [K, K]
  double searches = 0;  // the same of at most search_rows rows (0: all) of each linear
  int64_t search_rows = 0;
  double passes = 0;     // elementwise passes over each linear's weights
  double ranges = 0;     // searches of the range of each group, both ends
  double descents = 0;   // passes column after column
  double couplings = 0;  // products of each linear's [N, K] with its metric [N, B]; 0: without one
  int64_t matrices = 0;  // [K, K] in memory at a time, beside the moments
  int64_t copies = 0;    // [N, K] in f32 in memory at a time, beside the site's weights
  int64_t scratch = int64_t{16} << 20;  // bytes of the search of ranges
};

struct QuantizedLinear {
  QuantizedWeight weight;   // empty for one that keeps its 16 bits
  std::string alpha = "-";  // the chosen scale of the edge that it reads, for people
  double clipped = 0;       // share of its groups, 0…1
  int64_t tokens = -1;      // of the calibration that it read; -1: without calibration
  double error_before =
      -1;  // ‖(Ŵ - W)X‖² / ‖WX‖² of plain rounding; without calibration ‖Ŵ - W‖² / ‖W‖²
  double error_after = 0;  // of `weight`
};

class QuantMethod {
 public:
  virtual ~QuantMethod() = default;
  virtual bool NeedsCalibration() const = 0;
  // Whether Run() replays parts of the layer on its inputs, which are then kept until it is done.
  virtual bool ReplaysInputs() const { return false; }
  // Whether Run() works on job.pair, behind the layers it has already quantized, instead of on
  // job.moments.
  virtual bool FollowsPrefix() const { return false; }
  // How many of `blocks` of calibration are to be run backwards for job.metric.
  virtual int64_t WeighedBlocks(const MethodOptions&, int64_t /*blocks*/) const { return 0; }
  // Above 0: moments hold a second Gram matrix of every n-th of `tokens` tokens, n the answer.
  virtual int64_t SampleStride(int64_t /*tokens*/) const { return 0; }
  virtual MethodCost Cost(const MethodOptions& options) const = 0;
  // Quantizes every linear of the layer, whose linears come as the checkpoint stores them, norms
  // and biases in f32. May rescale norms and biases in place.
  virtual std::map<LinearId, QuantizedLinear> Run(LayerJob& job, LayerParams& layer) const = 0;
};

struct QuantMethodEntry {
  std::string_view name;
  std::unique_ptr<QuantMethod> (*make)();
};
const std::vector<QuantMethodEntry>& QuantMethods();
// Throws kInvalidArgument listing the names.
std::unique_ptr<QuantMethod> MakeQuantMethod(std::string_view name);

}  // namespace awq
