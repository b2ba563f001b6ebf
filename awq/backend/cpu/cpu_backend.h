// The CPU backend: Highway kernels for the machine's instruction set on a pool of threads.
#pragma once

#include <memory>
#include <string>

#include "awq/backend/cpu/kernels.h"
#include "awq/backend/ref/ref_backend.h"
#include "awq/base/threads.h"

namespace awq::cpu {

// Memory and GatherRows are ref's; activations F32, BF16 or F16.
class CpuBackend : public RefBackend {
 public:
  // tiles: false leaves those of the processor (tiles.h) alone; tests compare. note: for people,
  // behind the device's name.
  explicit CpuBackend(int threads, bool deterministic = false, bool tiles = true,
                      std::string note = {});
  BackendInfo Info() const override;

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
  void MlaAttention(const AttentionArgs& args, const Batch& batch, const TensorView& q_latent,
                    const TensorView& q_rope, const PagedKv& cache, const TensorView& y) override;
  void MoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                 const TensorView& y) override;
  void MoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
              const TensorView& gate, const TensorView& y) override;
  void Embed(const TensorView& tokens, const TensorView& table, const TensorView& y) override;

  void Gram(const TensorView& x, const TensorView& gram) override;
  void CrossGram(const TensorView& x, const TensorView& y, const TensorView& gram) override;
  void AbsSum(const TensorView& x, const TensorView& sums) override;
  void MatMul(const TensorView& a, const TensorView& b, bool transpose_b,
              const TensorView& c) override;
  int64_t Cholesky(const TensorView& a) override;
  void SolveTriangular(const TensorView& l, bool transpose, const TensorView& b) override;

 private:
  ThreadPool pool_;
  Scratch scratch_;
  Machine machine_;  // of both
  std::string note_;
};

}  // namespace awq::cpu
