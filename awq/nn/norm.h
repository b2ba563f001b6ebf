// Norm: RMS norm with its weight on the device.
#pragma once

#include "awq/model/spec.h"
#include "awq/nn/context.h"

namespace awq {

inline NormArgs ToArgs(const NormSpec& spec) {
  NormArgs args;
  switch (spec.type) {
    case NormType::kRms:
      args.kind = NormKind::kRms;
  }
  args.epsilon = static_cast<float>(spec.epsilon);
  return args;
}

class Norm {
 public:
  // weight: F32 [D] on the device.
  Norm(const NormSpec& spec, Tensor weight) : args_(ToArgs(spec)), weight_(std::move(weight)) {}

  void Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
    ctx.backend.Norm(args_, x, weight_.view(), {}, y);
  }
  // residual += x; y = norm of it. x and y may be the same memory.
  void AddForward(ExecContext& ctx, const TensorView& residual, const TensorView& x,
                  const TensorView& y) const {
    ctx.backend.AddNorm(args_, residual, x, weight_.view(), {}, y);
  }

 private:
  NormArgs args_;
  Tensor weight_;
};

}  // namespace awq
