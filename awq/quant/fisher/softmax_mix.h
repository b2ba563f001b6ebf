// SoftmaxMix: causal attention over blocks that start empty, as products of matrices, and its
// gradient. Probabilities exist for some queries of one head at a time.
#pragma once

#include <span>

#include "awq/quant/fisher/gradient_context.h"

namespace awq {

class SoftmaxMix {
 public:
  // alibi_slopes: [H], or empty; on the host.
  SoftmaxMix(int64_t heads, int64_t kv_heads, int64_t head_size, AttentionArgs args)
      : heads_(heads), kv_heads_(kv_heads), d_(head_size), args_(args) {}

  // q [T, H·d], k and v [T, G·d], rotated; `starts` [B + 1]: first rows of the blocks, and T.
  struct Inputs {
    TensorView q, k, v;
    std::span<const int32_t> starts;
  };
  // mixed [T, H·d].
  void Forward(const GradientContext& ctx, const Inputs& in, const TensorView& mixed) const;
  // grad_q [T, H·d], grad_k and grad_v [T, G·d], dense.
  struct Gradients {
    TensorView q, k, v;
  };
  void Backward(const GradientContext& ctx, const Inputs& in, const TensorView& grad_mixed,
                const Gradients& grad) const;

 private:
  // Some queries of a head: rows [begin, end) look at rows [first_key, end).
  struct Tile {
    int64_t head;
    int64_t begin, end, first_key;
    int64_t rows() const { return end - begin; }
    int64_t keys() const { return end - first_key; }
  };
  template <typename Body>
  void ForTiles(std::span<const int32_t> starts, const Body& body) const;
  TensorView HeadOf(const TensorView& x, int64_t head, int64_t begin, int64_t end) const;
  // The first row that row `query` looks at.
  int64_t FirstKey(const Tile& tile, int64_t query) const;
  // scores [rows, keys] become what the softmax reads, less ALiBi; p [rows, keys] its result.
  void Softmax(const GradientContext& ctx, const Tile& tile, const TensorView& scores,
               const TensorView& p) const;
  // grad, of p, becomes that of q·k.
  void SoftmaxBackward(const GradientContext& ctx, const Tile& tile, const TensorView& scores,
                       const TensorView& p, const TensorView& grad) const;

  int64_t heads_, kv_heads_, d_;
  AttentionArgs args_;
};

}  // namespace awq
