// Embedding: what the first layer reads of a batch's tokens and their positions.
#pragma once

#include <optional>

#include "awq/nn/linear.h"
#include "awq/nn/norm.h"

namespace awq {

class Embedding {
 public:
  Embedding(Backend& backend, const WeightSource& source);
  // hidden [T, D] F32.
  void Forward(ExecContext& ctx, const Batch& batch, const TensorView& hidden) const;

 private:
  EmbedSpec spec_;
  Tensor table_;                      // as stored [V, E]
  std::optional<Linear> projection_;  // from E to D
  Norm norm_;
  Tensor positions_;  // as stored [P, D], or empty
};

}  // namespace awq
