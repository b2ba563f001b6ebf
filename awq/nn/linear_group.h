// LinearGroup: linears that read the same x, their outputs side by side; one product where their
// weights are of one kind.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "awq/nn/linear.h"

namespace awq {

class LinearGroup {
 public:
  // Roles in the order of their outputs. gated: gate and up, whose activation the backend may apply
  // in the same product.
  LinearGroup(Backend& backend, int64_t layer, const LayerParams& params,
              const std::vector<Role>& roles, bool gated = false);

  // y [T, Σ N] of act or F32, x [T, K] of act.
  void Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const;
  // Whether ForwardGated is what it offers, not Forward: y [T, F] = activation(gate) · up.
  bool IsGated() const { return gated_; }
  void ForwardGated(ExecContext& ctx, Activation kind, const TensorView& x,
                    const TensorView& y) const;
  // Outputs of all; of part i of y.
  int64_t n() const { return begins_.back(); }
  TensorView Part(const TensorView& y, size_t i) const {
    return y.Columns(begins_[i], begins_[i + 1]);
  }
  int64_t NumBytes() const;
  // The one product that it is; null where it is several.
  const Linear* Single() const { return linears_.size() == 1 ? &linears_[0] : nullptr; }

 private:
  std::vector<Role> roles_;
  int64_t layer_;
  std::vector<int64_t> begins_{0};  // of each part's outputs, and the end
  bool gated_ = false;
  std::vector<Linear> linears_;  // one, or one a part
};

}  // namespace awq
