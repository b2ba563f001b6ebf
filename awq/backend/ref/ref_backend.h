// The readable definition of every op: plain loops on the host, f64 sums, any float type in and
// out. Slow on purpose; the oracle of the other backends.
#pragma once

#include <memory>

#include "awq/ops/backend.h"

namespace awq {

class RefBackend : public Backend {
 public:
  BackendInfo Info() const override;

  Tensor Alloc(DType type, const Shape& shape) override;
  void Copy(const TensorView& to, const TensorView& from) override;
  void Sync() override {}
  int64_t FreeMemory() override;

  std::unique_ptr<PackedWeight> PrepareDense(const TensorView& w, DType type) override;
  std::unique_ptr<PackedWeight> PrepareQuantized(const QuantizedWeight& w) override;

  void Linear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
              const TensorView& y) override;
  void Norm(const NormArgs& args, const TensorView& x, const TensorView& weight,
            const TensorView& bias, const TensorView& y) override;
  void Add(const TensorView& residual, const TensorView& x) override;
  void Scale(const ScaleArgs& args, const TensorView& x, const TensorView& y) override;
  void Rope(const RopeArgs& args, const TensorView& positions, const TensorView& x) override;
  void Activate(Activation kind, const TensorView& gate, const TensorView& up,
                const TensorView& y) override;
  void KvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
               const PagedKv& cache) override;
  void Attention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                 const PagedKv& cache, const TensorView& y) override;
  std::unique_ptr<PackedStack> Stack(std::vector<std::unique_ptr<PackedWeight>> weights) override;
  void Route(const RouteArgs& args, const TensorView& logits, const TensorView& bias,
             const Routing& routing) override;
  void MoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                 const TensorView& y) override;
  void MoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
              const TensorView& gate, const TensorView& y) override;
  void HeadLinear(const PackedStack& w, const TensorView& x, const TensorView& y) override;
  void MlaAttention(const AttentionArgs& args, const Batch& batch, const TensorView& q_latent,
                    const TensorView& q_rope, const PagedKv& cache, const TensorView& y) override;
  void Embed(const TensorView& tokens, const TensorView& table, const TensorView& y) override;
  void GatherRows(const TensorView& from, const TensorView& rows, const TensorView& to) override;

  void ArgMax(const TensorView& logits, const TensorView& ids) override;
  void Sample(const SampleArgs& args, const TensorView& logits, const TensorView& ids) override;
  void Advance(const AdvanceArgs& args, const TensorView& ids) override;

  void Gram(const TensorView& x, const TensorView& gram) override;
  void CrossGram(const TensorView& x, const TensorView& y, const TensorView& gram) override;
  void AbsSum(const TensorView& x, const TensorView& sums) override;
  void MatMul(const TensorView& a, const TensorView& b, bool transpose_b,
              const TensorView& c) override;
  int64_t Cholesky(const TensorView& a) override;
  void SolveTriangular(const TensorView& l, bool transpose, const TensorView& b) override;
};

}  // namespace awq
