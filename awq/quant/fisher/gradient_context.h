// GradientContext: what a backward step needs besides weights; passed down, never global.
#pragma once

#include <functional>

#include "awq/base/threads.h"
#include "awq/model/roles.h"
#include "awq/nn/context.h"

namespace awq {

// The gradient [T, N] of the loss with respect to what a linear gives; valid during the call.
using GradientSink = std::function<void(LinearId, const TensorView& gradient)>;

// Gradients are F32 and computed on the host.
struct GradientContext {
  Backend& backend;  // of the host
  ThreadPool& pool;
  Workspace& scratch;
  GradientSink sink;

  TensorView Take(const Shape& shape) const { return scratch.Take(DType::kF32, shape); }
  ExecContext exec() const { return {backend, scratch, DType::kF32, nullptr}; }
};

}  // namespace awq
