// Linear: y = x · Wᵀ + bias, the only layer that calls the tap.
#pragma once

#include <memory>
#include <optional>

#include "awq/checkpoint/weights.h"
#include "awq/nn/context.h"

namespace awq {

class Linear {
 public:
  // bias: F32 on the device, or empty.
  Linear(std::unique_ptr<PackedWeight> weight, Tensor bias)
      : weight_(std::move(weight)), bias_(std::move(bias)) {}

  // y [T, N] of act or F32, x [T, K] of act.
  void Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const;
  // y [T, N / 2] = activation(gate) · up; of a weight that Backend::PrepareGated made.
  void ForwardGated(ExecContext& ctx, Activation kind, const TensorView& x,
                    const TensorView& y) const;
  int64_t n() const { return weight_->n(); }
  const PackedWeight& weight() const { return *weight_; }
  TensorView bias() const { return bias_.view(); }  // or empty
  int64_t NumBytes() const { return weight_->NumBytes(); }

 private:
  std::unique_ptr<PackedWeight> weight_;
  Tensor bias_;
};

// The weight on the device; dense ones keep the type they are stored in.
std::unique_ptr<PackedWeight> Prepare(Backend& backend, const LinearWeight& weight);
Linear MakeLinear(Backend& backend, const LinearWeight& weight);
// Of rows of gate and as many of up; null, or none, where the backend has no such product.
std::unique_ptr<PackedWeight> PrepareGated(Backend& backend, const LinearWeight& weight);
std::optional<Linear> MakeGatedLinear(Backend& backend, const LinearWeight& weight);
// A device copy of host values, F32.
Tensor ToDevice(Backend& backend, const TensorView& host);

}  // namespace awq
