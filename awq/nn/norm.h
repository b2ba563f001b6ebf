// Norm: RMS norm or LayerNorm with its weight on the device.
#pragma once

#include "awq/checkpoint/weights.h"
#include "awq/model/spec.h"
#include "awq/nn/context.h"

namespace awq {

inline NormArgs ToArgs(const NormSpec& spec) {
  NormArgs args;
  args.kind = spec.type == NormType::kLayer ? NormKind::kLayer : NormKind::kRms;
  args.epsilon = static_cast<float>(spec.epsilon);
  return args;
}

class Norm {
 public:
  // weight: F32 [D] on the device; bias likewise, or empty. Neither is read where there is no norm.
  Norm(const NormSpec& spec, Tensor weight, Tensor bias = {})
      : type_(spec.type), args_(ToArgs(spec)), weight_(std::move(weight)), bias_(std::move(bias)) {}

  bool is_none() const { return type_ == NormType::kNone; }
  TensorView weight() const { return weight_.view(); }
  // Whether it is an RMS norm without a bias, which other operations can do.
  bool is_plain() const { return type_ == NormType::kRms && bias_.empty(); }
  float epsilon() const { return args_.epsilon; }
  // x and y may be the same memory; without a norm y is x.
  void Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
    if (is_none()) return ctx.backend.Scale({}, x, y);
    ctx.backend.Norm(args_, x, weight_.view(), bias_.view(), y);
  }
  // residual += x; y = norm of it. x and y may be the same memory.
  void AddForward(ExecContext& ctx, const TensorView& residual, const TensorView& x,
                  const TensorView& y) const {
    ctx.backend.AddNorm(args_, residual, x, weight_.view(), bias_.view(), y);
  }
  // The same of x that goes through `post` first; x, unless it is y, is undefined afterwards.
  void AddForward(ExecContext& ctx, const Norm& post, const TensorView& residual,
                  const TensorView& x, const TensorView& y) const {
    if (post.is_none()) return AddForward(ctx, residual, x, y);
    ctx.backend.NormAddNorm({post.args_, post.weight_.view(), post.bias_.view()}, args_, residual,
                            x, weight_.view(), bias_.view(), y);
  }

 private:
  NormType type_;
  NormArgs args_;
  Tensor weight_, bias_;
};

// The norm of a role of a layer; its weight is ones where none is stored.
Norm MakeNorm(Backend& backend, const NormSpec& spec, Role role, int64_t size,
              const LayerParams& params);
// One that belongs to no layer.
Norm LoadNorm(Backend& backend, const NormSpec& spec, Role role, int64_t size,
              const WeightSource& source);

}  // namespace awq
