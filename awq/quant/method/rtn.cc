// Round to nearest: the range of each group as it is. The baseline of every other method.
#include <cmath>

#include "awq/quant/method/methods.h"

namespace awq {
namespace {

double SumOfSquares(const TensorView& view) {
  double sum = 0;
  for (float v : view.Span<const float>()) sum += static_cast<double>(v) * static_cast<double>(v);
  return sum;
}

class RtnMethod : public QuantMethod {
 public:
  bool NeedsCalibration() const override { return false; }
  MethodCost Cost(const MethodOptions&) const override { return {.passes = 3, .copies = 1}; }

  std::map<LinearId, QuantizedLinear> Run(LayerJob& job, LayerParams& layer) const override {
    std::map<LinearId, QuantizedLinear> out;
    for (const LinearShape& shape : QuantizableLinears(job.model, job.layer)) {
      job.poll();
      job.weights.Load(shape.id, layer);
      const TensorView& w = DenseWeight(layer, shape.id);
      QuantizedLinear& linear = out[shape.id];
      if (job.Keeps(shape.id)) continue;
      linear.weight = QuantizeToNearest(job.RuleOf(shape.id), job.pool, w);
      linear.error_before = linear.error_after = RelativeError(job.backend, linear.weight, w, {});
      layer.linears.at(shape.id).weight = Tensor();
    }
    return out;
  }
};

}  // namespace

double RelativeError(Backend& backend, const QuantizedWeight& quantized, const TensorView& target,
                     const TensorView& gram) {
  const Tensor delta = Dequantize(quantized);
  const float* w = target.As<const float>();
  float* d = delta.As<float>();
  for (int64_t i = 0; i < target.NumElements(); ++i) d[i] -= w[i];
  const double error =
      gram.empty() ? SumOfSquares(delta.view()) : GramLoss(backend, delta.view(), gram);
  const double energy = gram.empty() ? SumOfSquares(target) : GramLoss(backend, target, gram);
  return energy > 0 ? error / energy : 0.0;
}

std::unique_ptr<QuantMethod> MakeRtnMethod() { return std::make_unique<RtnMethod>(); }

}  // namespace awq
