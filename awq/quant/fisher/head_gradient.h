// HeadGradient: the gradient of -log p(label) with respect to the last residual stream.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "awq/checkpoint/weights.h"
#include "awq/quant/fisher/linear_gradient.h"
#include "awq/quant/fisher/norm_gradient.h"

namespace awq {

// What is computed at a time, in bytes of F32: rows whose logits take that much (16 rows at least),
// and so much of a head that is stored in 16 bits.
struct HeadSlices {
  int64_t logits = int64_t{64} << 20;
  int64_t weight = int64_t{16} << 20;
};

// Final norm, head, scale and cap of the logits. The head stays as it is stored.
class HeadGradient {
 public:
  HeadGradient(Backend& backend, const WeightSource& source, const HeadSlices& slices = {});

  // grad [T, D] of Σ_t -log p(y_t | x_t) with respect to x [T, D]; they may be the same memory. y_t
  // is drawn from p(· | x_t) by the seed and the number first_row + t alone, so that the mean of
  // g gᵀ is the Fisher information. Returns the sum.
  double Backward(const GradientContext& ctx, const TensorView& x, uint64_t seed, int64_t first_row,
                  const TensorView& grad) const;
  // With these labels [T].
  double Backward(const GradientContext& ctx, const TensorView& x, std::span<const int32_t> labels,
                  const TensorView& grad) const;

 private:
  // The label of row t, of probabilities [V].
  using Choice = std::function<int64_t(int64_t t, std::span<const float> p)>;
  double Run(const GradientContext& ctx, const TensorView& x, const Choice& choose,
             const TensorView& grad) const;
  // What the head reads of a chunk becomes the gradient with respect to it; first: number of its
  // first row. Returns the chunk's loss.
  double ChunkBackward(const GradientContext& ctx, int64_t first, const Choice& choose,
                       const TensorView& hidden) const;
  // Products [R, V] of the head become the gradient with respect to them.
  double LossBackward(const GradientContext& ctx, int64_t first, const Choice& choose,
                      const TensorView& logits) const;
  // The same of one row; p [V] is for its probabilities.
  double RowBackward(int64_t row, const Choice& choose, std::span<float> logits,
                     std::span<float> p) const;
  // Calls body(begin, w) with rows [begin, …) of the head as F32.
  void ForSlices(const GradientContext& ctx,
                 const std::function<void(int64_t, const TensorView&)>& body) const;

  HeadSlices slices_;
  HeadSpec spec_;
  LayerParams params_;  // final norm, projection
  NormGradient norm_;
  std::optional<LinearGradient> projection_;  // from D to E
  Tensor head_;                               // as stored [V, E]
  std::vector<float> bias_;                   // [V], or empty
  std::vector<float> factors_;                // of each product [V]; the head's scale is part of it
};

// In [0, 1), of a seed and a number; the same everywhere.
double UniformOf(uint64_t seed, int64_t number);

}  // namespace awq
