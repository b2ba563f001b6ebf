// ExecContext: what a forward step needs besides weights; passed down, never global.
#pragma once

#include <cstdint>

#include "awq/base/tensor.h"
#include "awq/model/roles.h"
#include "awq/nn/workspace.h"
#include "awq/ops/backend.h"

namespace awq {

// Sees the input of every linear while calibration runs.
class Tap {
 public:
  virtual ~Tap() = default;
  // x [T, K] on the device; linears that read one x (q, k, v · gate, up) are told of once, by the
  // first of them.
  virtual void OnInput(LinearId id, int64_t layer, const TensorView& x) = 0;
};

struct ExecContext {
  Backend& backend;
  Workspace& scratch;
  DType act = DType::kF32;  // type of activations; the residual stream is always F32
  Tap* tap = nullptr;
};

}  // namespace awq
