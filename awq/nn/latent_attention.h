// LatentAttention: multi-head latent attention (MLA, DeepSeek-V2, arXiv:2405.04434) in its absorbed
// form. Keys and values of a head are linear in the cached latent vector, so queries are carried
// into the latent space and mixed there; no key or value is ever stored (Backend::MlaHeads may
// build those of a prompt on the way).
#pragma once

#include <memory>
#include <optional>

#include "awq/model/spec.h"
#include "awq/nn/context.h"
#include "awq/nn/linear_group.h"
#include "awq/ops/args.h"

namespace awq {

struct LatentWeights {
  LinearGroup q_kv;                     // q (or its latent vector) and the latent vector
  std::optional<LinearGroup> q_b;       // queries of their latent vector
  Tensor q_norm, kv_norm;               // F32 on the device; q_norm is empty without q_b
  std::unique_ptr<PackedStack> keys;    // a head [rank, nope]: its part of kv_b, transposed
  std::unique_ptr<PackedStack> values;  // a head [v, rank]
  LinearGroup o;
};
LatentWeights MakeLatentWeights(Backend& backend, int64_t layer, const MlaSpec& spec,
                                const LayerParams& params);

class LatentAttention {
 public:
  LatentAttention(Backend& backend, int64_t layer, const MlaSpec& spec, LatentWeights weights);

  // y [T, D] = attention of x [T, D]; writes the batch's latent vectors to the cache first.
  void Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache, const TensorView& x,
               const TensorView& y) const;
  // All of it but the output projection: mixed [T, H·v].
  void Mix(ExecContext& ctx, const Batch& batch, const PagedKv& cache, const TensorView& x,
           const TensorView& mixed) const;
  // What kv_b reads [T, rank], strided; and, given q_b, what it reads [T, q_rank]. In scratch
  // memory.
  struct Latents {
    TensorView q, kv;
  };
  Latents Compress(ExecContext& ctx, const TensorView& x) const;

 private:
  int64_t layer_;
  MlaSpec spec_;
  LatentWeights weights_;
  Tensor frequencies_;
};

}  // namespace awq
