// Profiler: a backend that passes every call on and notes what it took on the device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "awq/ops/backend.h"

namespace awq {

// All calls of one operation on one size.
struct OpProfile {
  std::string name;  // "linear 4096x14336", "attention"
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;  // of weights, inputs and outputs, each once
  double flops = 0;
};

class Profiler : public Backend {
 public:
  explicit Profiler(Backend& inner) : inner_(inner) {}

  // Forgets what was noted. A recording begins anew by itself.
  void Begin();
  // What was noted since, the longest first; waits for the device.
  std::vector<OpProfile> Take();

  BackendInfo Info() const override { return inner_.Info(); }
  Tensor Alloc(DType type, const Shape& shape) override { return inner_.Alloc(type, shape); }
  Tensor AllocHost(DType type, const Shape& shape) override {
    return inner_.AllocHost(type, shape);
  }
  void Copy(const TensorView& to, const TensorView& from) override { inner_.Copy(to, from); }
  void Sync() override { inner_.Sync(); }
  std::optional<MemoryUse> Memory() override { return inner_.Memory(); }
  int64_t FreeMemory() override { return inner_.FreeMemory(); }
  std::unique_ptr<PackedWeight> PrepareDense(const TensorView& w, DType type) override {
    return inner_.PrepareDense(w, type);
  }
  std::unique_ptr<PackedWeight> PrepareQuantized(const QuantizedWeight& w) override {
    return inner_.PrepareQuantized(w);
  }
  std::unique_ptr<PackedDecoder> PrepareDecoder(const DecoderArgs& args,
                                                std::span<const DecoderWeights> layers) override {
    return inner_.PrepareDecoder(args, layers);
  }
  bool Decode(PackedDecoder& decoder, const Batch& batch, std::span<const PagedKv> caches,
              const TensorView& residual) override;
  void Linear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
              const TensorView& y) override;
  std::unique_ptr<PackedWeight> PrepareGated(const QuantizedWeight& w) override {
    return inner_.PrepareGated(w);
  }
  void GatedLinear(const PackedWeight& w, Activation kind, const TensorView& x,
                   const TensorView& bias, const TensorView& y) override;
  void Norm(const NormArgs& args, const TensorView& x, const TensorView& weight,
            const TensorView& bias, const TensorView& y) override;
  void Add(const TensorView& residual, const TensorView& x) override;
  void AddNorm(const NormArgs& args, const TensorView& residual, const TensorView& x,
               const TensorView& weight, const TensorView& bias, const TensorView& y) override;
  void NormAddNorm(const PostNorm& post, const NormArgs& args, const TensorView& residual,
                   const TensorView& x, const TensorView& weight, const TensorView& bias,
                   const TensorView& y) override;
  void Scale(const ScaleArgs& args, const TensorView& x, const TensorView& y) override;
  void Rope(const RopeArgs& args, const TensorView& positions, const TensorView& x) override;
  void Activate(Activation kind, const TensorView& gate, const TensorView& up,
                const TensorView& y) override;
  void KvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
               const PagedKv& cache) override;
  void RopeKvWrite(const HeadNorms& norms, const RopeArgs& args, const Batch& batch,
                   const TensorView& q, const TensorView& k, const TensorView& v,
                   const PagedKv& cache) override;
  void Attention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                 const PagedKv& cache, const TensorView& y) override;
  std::unique_ptr<PackedStack> Stack(std::vector<std::unique_ptr<PackedWeight>> weights) override {
    return inner_.Stack(std::move(weights));
  }
  void MlaAttention(const AttentionArgs& args, const Batch& batch, const TensorView& q_latent,
                    const TensorView& q_rope, const PagedKv& cache, const TensorView& y) override;
  void LatentWrite(const NormArgs& norm, const TensorView& weight, const RopeArgs& rope,
                   const Batch& batch, const TensorView& latents, const TensorView& q_rope,
                   const PagedKv& cache) override;
  void HeadLinear(const PackedStack& w, const TensorView& x, const TensorView& y) override;
  void MlaHeads(const AttentionArgs& args, const Batch& batch, const PackedStack& keys,
                const PackedStack& values, const TensorView& q_nope, const TensorView& q_rope,
                const PagedKv& cache, const MlaRoom& room, const TensorView& y) override;
  void Route(const RouteArgs& args, const TensorView& logits, const TensorView& bias,
             const Routing& routing) override;
  void GatedMoeLinear(const PackedStack& w, Activation kind, const Routing& routing,
                      const TensorView& x, const TensorView& y) override;
  void MoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                 const TensorView& y) override;
  void MoeMlp(const PackedStack& gate_up, Activation kind, const PackedStack& down,
              const Routing& routing, const TensorView& x, const TensorView& hidden,
              const TensorView& y) override;
  void MoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
              const TensorView& gate, const TensorView& y) override;
  void Embed(const TensorView& tokens, const TensorView& table, const TensorView& y) override;
  void GatherRows(const TensorView& from, const TensorView& rows, const TensorView& to) override;
  void ArgMax(const TensorView& logits, const TensorView& ids) override;
  void Sample(const SampleArgs& args, const TensorView& logits, const TensorView& ids) override;
  void Advance(const AdvanceArgs& args, const TensorView& ids) override;
  std::unique_ptr<Recording> Record(const std::function<void()>& calls) override;
  void Mark(int slot) override { inner_.Mark(slot); }
  double SecondsBetween(int from, int to) override { return inner_.SecondsBetween(from, to); }

  void Gram(const TensorView& x, const TensorView& gram) override { inner_.Gram(x, gram); }
  void CrossGram(const TensorView& x, const TensorView& y, const TensorView& gram) override {
    inner_.CrossGram(x, y, gram);
  }
  void AbsSum(const TensorView& x, const TensorView& sums) override { inner_.AbsSum(x, sums); }
  void MatMul(const TensorView& a, const TensorView& b, bool transpose_b,
              const TensorView& c) override {
    inner_.MatMul(a, b, transpose_b, c);
  }
  int64_t Cholesky(const TensorView& a) override { return inner_.Cholesky(a); }
  void SolveTriangular(const TensorView& l, bool transpose, const TensorView& b) override {
    inner_.SolveTriangular(l, transpose, b);
  }

 private:
  struct Note {
    std::string name;
    double bytes, flops;
  };
  // Runs `call` between two marks.
  template <typename F>
  void Noted(std::string name, double bytes, double flops, const F& call);
  // The same of a linear of routed experts.
  template <typename F>
  void NotedMoe(const char* name, const PackedStack& w, const TensorView& x, const TensorView& y,
                const F& call);

  Backend& inner_;
  std::vector<Note> notes_;  // note i lies between marks i and i + 1
};

}  // namespace awq
