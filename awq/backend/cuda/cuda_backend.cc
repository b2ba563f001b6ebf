#include "awq/backend/cuda/cuda_backend.h"

#include <limits>

#include "awq/backend/cuda/attention.h"
#include "awq/backend/cuda/blas.h"
#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/experts_runner.h"
#include "awq/backend/cuda/fused_decoder.h"
#include "awq/backend/cuda/graph.h"
#include "awq/backend/cuda/head_products.h"
#include "awq/backend/cuda/head_rows.h"
#include "awq/backend/cuda/latent.h"
#include "awq/backend/cuda/latent_prompts.h"
#include "awq/backend/cuda/latent_tiles.h"
#include "awq/backend/cuda/linear.h"
#include "awq/backend/cuda/marks.h"
#include "awq/backend/cuda/packed.h"
#include "awq/backend/cuda/rows.h"
#include "awq/backend/cuda/sample.h"
#include "awq/backend/cuda/triangular.h"
#include "awq/base/threads.h"
#include "awq/ops/checks.h"

namespace awq::cuda {
namespace {

class CudaBackend : public Backend {
 public:
  CudaBackend(const DeviceLimits& device, int threads, bool deterministic)
      : threads_(threads),
        deterministic_(deterministic),
        stream_(Stream::Make()),
        blas_(stream_),
        linear_(device, stream_, blas_, deterministic),
        experts_(device, stream_, deterministic),
        device_(device),
        scratch_(stream_, false),
        counters_(stream_, true) {}

  BackendInfo Info() const override {
    return {.name = "cuda", .device = device_.name, .threads = threads_, .activation = DType::kF16};
  }

  Tensor Alloc(DType type, const Shape& shape) override { return stream_->Alloc(type, shape); }
  void Copy(const TensorView& to, const TensorView& from) override {
    AWQ_CHECK(to.dtype == from.dtype && to.shape == from.shape && to.IsContiguous() &&
                  from.IsContiguous(),
              kInternal, "copy: expected equal dense views, found ", NameOf(to.dtype), " ",
              to.shape, " and ", NameOf(from.dtype), " ", from.shape);
    if (to.NumBytes() == 0) return;
    AWQ_CUDA(cudaMemcpyAsync(to.data, from.data, static_cast<size_t>(to.NumBytes()),
                             cudaMemcpyDefault, get()));
  }
  Tensor AllocHost(DType type, const Shape& shape) override {
    return stream_->AllocHost(type, shape);
  }
  void Sync() override { stream_->Sync(); }
  std::optional<MemoryUse> Memory() override { return stream_->Memory(); }
  int64_t FreeMemory() override {
    size_t free = 0;
    size_t total = 0;
    AWQ_CUDA(cudaMemGetInfo(&free, &total));
    return static_cast<int64_t>(free);
  }

  std::unique_ptr<PackedWeight> PrepareDense(const TensorView& w, DType type) override {
    return std::make_unique<DenseWeight>(*stream_, w, type);
  }
  std::unique_ptr<PackedWeight> PrepareQuantized(const QuantizedWeight& w) override {
    if (Q4Weight::Supports(w.scheme, w.n(), w.k())) return std::make_unique<Q4Weight>(*stream_, w);
    if (Q8Weight::Supports(w.scheme, w.k())) return std::make_unique<Q8Weight>(*stream_, w);
    return std::make_unique<PlainWeight>(*stream_, w);
  }

  std::unique_ptr<PackedWeight> PrepareGated(const QuantizedWeight& w) override {
    if (w.n() % 2 != 0 || !Q4Weight::Supports(w.scheme, w.n(), w.k())) return nullptr;
    return std::make_unique<Q4Weight>(*stream_, w, true);
  }

  std::unique_ptr<PackedDecoder> PrepareDecoder(const DecoderArgs& args,
                                                std::span<const DecoderWeights> layers) override {
    if (deterministic_) return nullptr;
    return FusedDecoder::Make(*stream_, device_, args, layers);
  }
  bool Decode(PackedDecoder& decoder, const Batch& batch, std::span<const PagedKv> caches,
              const TensorView& residual) override {
    CheckDecode(batch, caches, residual);
    return dynamic_cast<FusedDecoder&>(decoder).Run(queue(), batch, caches, residual);
  }

  void Linear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
              const TensorView& y) override {
    if (CheckLinear(w, x, bias, y).m > 0) linear_.Run(w, x, bias, y);
  }
  void GatedLinear(const PackedWeight& w, Activation kind, const TensorView& x,
                   const TensorView& bias, const TensorView& y) override {
    if (CheckGatedLinear(w, x, bias, y).m == 0) return;
    linear_.RunGated(dynamic_cast<const Q4Weight&>(w), kind, x, bias, y);
  }
  void Norm(const NormArgs& args, const TensorView& x, const TensorView& weight,
            const TensorView& bias, const TensorView& y) override {
    CheckNorm(x, weight, bias, y);
    cuda::Norm(queue(), args, x, weight, bias, y);
  }
  void Add(const TensorView& residual, const TensorView& x) override {
    CheckAdd(residual, x);
    cuda::Add(queue(), residual, x);
  }
  void AddNorm(const NormArgs& args, const TensorView& residual, const TensorView& x,
               const TensorView& weight, const TensorView& bias, const TensorView& y) override {
    CheckAddNorm(residual, x, weight, bias, y);
    cuda::AddNorm(queue(), args, residual, x, weight, bias, y);
  }
  void NormAddNorm(const PostNorm& post, const NormArgs& args, const TensorView& residual,
                   const TensorView& x, const TensorView& weight, const TensorView& bias,
                   const TensorView& y) override {
    CheckNormAddNorm(post, residual, x, weight, bias, y);
    if (cuda::NormAddNorm(queue(), post, args, residual, x, weight, bias, y)) return;
    Backend::NormAddNorm(post, args, residual, x, weight, bias, y);
  }
  void ArgMax(const TensorView& logits, const TensorView& ids) override {
    CheckArgMax(logits, ids);
    cuda::ArgMax(queue(), logits, ids);
  }
  void Sample(const SampleArgs& args, const TensorView& logits, const TensorView& ids) override {
    CheckSample(args, logits, ids);
    cuda::Sample(queue(), args, logits, ids);
  }
  void Advance(const AdvanceArgs& args, const TensorView& ids) override {
    CheckAdvance(args, ids);
    cuda::Advance(queue(), args, ids);
  }
  std::unique_ptr<Recording> Record(const std::function<void()>& calls) override {
    calls();  // workspaces have their sizes now
    return std::make_unique<Graph>(stream_, calls);
  }
  void Mark(int slot) override { marks_.Mark(slot); }
  double SecondsBetween(int from, int to) override { return marks_.SecondsBetween(from, to); }
  void Scale(const ScaleArgs& args, const TensorView& x, const TensorView& y) override {
    CheckScale(x, y);
    cuda::Scale(queue(), args, x, y);
  }
  void Rope(const RopeArgs& args, const TensorView& positions, const TensorView& x) override {
    CheckRope(args, positions, x);
    cuda::Rope(queue(), args, positions, x);
  }
  void Activate(Activation kind, const TensorView& gate, const TensorView& up,
                const TensorView& y) override {
    CheckActivate(gate, up, y);
    cuda::Activate(queue(), kind, gate, up, y);
  }
  void KvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
               const PagedKv& cache) override {
    CheckKvWrite(batch, k, v, cache);
    cuda::KvWrite(queue(), batch, k, v, cache);
  }
  void RopeKvWrite(const HeadNorms& norms, const RopeArgs& args, const Batch& batch,
                   const TensorView& q, const TensorView& k, const TensorView& v,
                   const PagedKv& cache) override {
    if (!norms.q.empty()) CheckNorm(q, norms.q, {}, q);
    if (!norms.k.empty()) CheckNorm(k, norms.k, {}, k);
    CheckRope(args, batch.positions, q);
    CheckRope(args, batch.positions, k);
    CheckKvWrite(batch, k, v, cache);
    cuda::RopeKvWrite(queue(), norms, args, batch, q, k, v, cache);
  }
  void LatentWrite(const NormArgs& norm, const TensorView& weight, const RopeArgs& rope,
                   const Batch& batch, const TensorView& latents, const TensorView& q_rope,
                   const PagedKv& cache) override {
    CheckLatentWrite(weight, rope, batch, latents, q_rope, cache);
    if (cuda::LatentWrite(queue(), norm, weight, rope, batch, latents, q_rope, cache)) return;
    Backend::LatentWrite(norm, weight, rope, batch, latents, q_rope, cache);
  }
  void Attention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                 const PagedKv& cache, const TensorView& y) override {
    CheckAttention(args, batch, q, cache, y);
    const int short_rows = deterministic_ ? 0 : kShortRows;
    void* workspace = scratch_.Take(AttentionWorkspace(device_, args, batch, q, cache, short_rows));
    const int64_t counters = AttentionCounters(batch, cache) * int64_t{sizeof(int)};
    cuda::Attention(queue(), device_, args, batch, q, cache, y, short_rows, workspace,
                    static_cast<int*>(counters_.Take(counters)));
  }
  std::unique_ptr<PackedStack> Stack(std::vector<std::unique_ptr<PackedWeight>> weights) override {
    return std::make_unique<cuda::Stack>(*stream_, std::move(weights), device_.arch == 90);
  }
  void Route(const RouteArgs& args, const TensorView& logits, const TensorView& bias,
             const Routing& routing) override {
    CheckRoute(args, logits, bias, routing);
    cuda::Route(queue(), args, logits, bias, routing);
  }
  void MoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                 const TensorView& y) override {
    CheckMoeLinear(w, routing, x, y);
    const auto& stack = dynamic_cast<const cuda::Stack&>(w);
    AWQ_CHECK(!stack.gated(), kInternal, "moe_linear: weights of pairs of gate and up");
    experts_.Linear(stack, routing, x, y);
  }
  void GatedMoeLinear(const PackedStack& w, Activation kind, const Routing& routing,
                      const TensorView& x, const TensorView& y) override {
    CheckGatedMoeLinear(w, routing, x, y);
    const auto& stack = dynamic_cast<const cuda::Stack&>(w);
    AWQ_CHECK(stack.gated(), kInternal, "gated_moe_linear: weights without pairs of gate and up");
    experts_.Gated(stack, kind, routing, x, y);
  }
  void MoeMlp(const PackedStack& gate_up, Activation kind, const PackedStack& down,
              const Routing& routing, const TensorView& x, const TensorView& hidden,
              const TensorView& y) override {
    CheckGatedMoeLinear(gate_up, routing, x, hidden);
    CheckMoeLinear(down, routing, hidden, y);
    const auto& first = dynamic_cast<const cuda::Stack&>(gate_up);
    const auto& second = dynamic_cast<const cuda::Stack&>(down);
    AWQ_CHECK(first.gated() && !second.gated(), kInternal,
              "moe_mlp: expected pairs of gate and up, and a down projection without");
    if (experts_.Mlp(first, kind, second, routing, x, hidden, y)) return;
    Backend::MoeMlp(gate_up, kind, down, routing, x, hidden, y);
  }
  void MoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
              const TensorView& gate, const TensorView& y) override {
    CheckMoeSum(routing, x, shared, gate, y);
    cuda::MoeSum(queue(), routing, x, shared, gate, y);
  }
  void HeadLinear(const PackedStack& w, const TensorView& x, const TensorView& y) override {
    CheckHeadLinear(w, x, y);
    const auto& stack = dynamic_cast<const cuda::Stack&>(w);
    constexpr int64_t kFewTokens = 64;  // as many read each weight once
    constexpr int64_t kLoneTokens = 8;
    const bool few = deterministic_ || x.dim(0) <= kFewTokens;
    if (few && SupportsHeadRows(stack, x, device_.arch)) {
      return HeadRowsLinear(queue(), stack, x, y);
    }
    // A product a head would take longer than one warp an output.
    const bool alone = stack.Apart() == 0 && x.dim(0) <= kLoneTokens;
    if (deterministic_ || alone || !stack.IsDense(x.dtype)) {
      return AnyHeadLinear(queue(), stack, x, y);
    }
    MultiplyHeads(blas_, stack, {0, w.size()}, true, HeadRows(x, 0), x.strides[1], HeadRows(y, 0),
                  y.strides[1]);
  }
  void MlaAttention(const AttentionArgs& args, const Batch& batch, const TensorView& q_latent,
                    const TensorView& q_rope, const PagedKv& cache, const TensorView& y) override {
    CheckMlaAttention(batch, q_latent, q_rope, cache, y);
    RunMlaAttention(args, batch, q_latent, q_rope, cache, y, std::numeric_limits<int>::max());
  }
  void MlaHeads(const AttentionArgs& args, const Batch& batch, const PackedStack& keys,
                const PackedStack& values, const TensorView& q_nope, const TensorView& q_rope,
                const PagedKv& cache, const MlaRoom& room, const TensorView& y) override {
    CheckHeadLinear(keys, q_nope, room.q_latent);
    CheckMlaAttention(batch, room.q_latent, q_rope, cache, room.y_latent);
    CheckHeadLinear(values, room.y_latent, y);
    const LatentCall call{args,
                          batch,
                          dynamic_cast<const cuda::Stack&>(keys),
                          dynamic_cast<const cuda::Stack&>(values),
                          q_nope,
                          q_rope,
                          cache,
                          y};
    const LatentPromptPlan plan =
        deterministic_ ? LatentPromptPlan{} : PlanLatentPrompts(call, device_);
    if (plan.prompts == 0) {
      return Backend::MlaHeads(args, batch, keys, values, q_nope, q_rope, cache, room, y);
    }
    if (plan.others > 0) {
      HeadLinear(keys, q_nope, room.q_latent);
      RunMlaAttention(args, batch, room.q_latent, q_rope, cache, room.y_latent, kMostLatentTokens);
      HeadLinear(values, room.y_latent, y);  // of prompts too, which overwrite theirs
    }
    const int64_t counters = plan.heads * batch.num_seqs() + 1;
    LatentPrompts(queue(), device_, blas_, plan, call,
                  scratch_.Take(plan.Bytes(cache.keys.dim(3), batch.num_seqs())),
                  static_cast<int*>(counters_.Take(counters * int64_t{sizeof(int)})));
  }
  void Embed(const TensorView& tokens, const TensorView& table, const TensorView& y) override {
    CheckEmbed(tokens, table, y);
    TakeRows(queue(), table, tokens, y);
  }
  void GatherRows(const TensorView& from, const TensorView& rows, const TensorView& to) override {
    CheckGatherRows(from, rows, to);
    TakeRows(queue(), from, rows, to);
  }

  void Gram(const TensorView& x, const TensorView& gram) override {
    CheckGram(x, gram);
    if (x.dim(0) > 0) blas_.Multiply(x, true, x, false, gram, 1.0f, 1.0f);
  }
  void CrossGram(const TensorView& x, const TensorView& y, const TensorView& gram) override {
    CheckCrossGram(x, y, gram);
    AWQ_CHECK(x.dtype == y.dtype, kInternal, "crossgram: x is ", NameOf(x.dtype), ", y is ",
              NameOf(y.dtype));
    if (x.dim(0) > 0) blas_.Multiply(x, true, y, false, gram, 1.0f, 1.0f);
  }
  void AbsSum(const TensorView& x, const TensorView& sums) override {
    CheckAbsSum(x, sums);
    cuda::AbsSum(queue(), x, sums);
  }
  void MatMul(const TensorView& a, const TensorView& b, bool transpose_b,
              const TensorView& c) override {
    CheckMatMul(a, b, transpose_b, c);
    blas_.Multiply(a, false, b, transpose_b, c);
  }
  int64_t Cholesky(const TensorView& a) override {
    CheckCholesky(a);
    return cuda::Cholesky(*stream_, blas_, a);
  }
  void SolveTriangular(const TensorView& l, bool transpose, const TensorView& b) override {
    CheckSolveTriangular(l, b);
    cuda::SolveTriangular(*stream_, blas_, l, transpose, b);
  }

 private:
  // Of sequences with at most so many tokens.
  void RunMlaAttention(const AttentionArgs& args, const Batch& batch, const TensorView& q_latent,
                       const TensorView& q_rope, const PagedKv& cache, const TensorView& y,
                       int most_tokens) {
    if (y.NumElements() == 0) return;
    if (deterministic_ || !SupportsLatentTiles(device_, q_latent, q_rope, cache, y)) {
      return cuda::MlaAttention(queue(), args, batch, q_latent, q_rope, cache, y, most_tokens);
    }
    const LatentPlan plan = PlanLatentTiles(device_, batch, y.dim(1), cache, most_tokens);
    void* workspace = scratch_.Take(LatentTilesWorkspace(plan));
    auto* counters = static_cast<int*>(counters_.Take(plan.items * int64_t{sizeof(int)}));
    LatentTilesAttention(queue(), plan, args, batch, q_latent, q_rope, cache, y, workspace,
                         counters);
  }

  cudaStream_t get() const { return stream_->get(); }
  Queue queue() const { return {stream_->get(), device_.arch >= 90}; }

  int threads_;
  bool deterministic_;
  std::shared_ptr<Stream> stream_;
  Blas blas_;
  LinearRunner linear_;
  ExpertsRunner experts_;
  DeviceLimits device_;
  GrowingBuffer scratch_;
  GrowingBuffer counters_;
  Marks marks_{stream_};
};

}  // namespace

std::unique_ptr<Backend> MakeCudaBackend(int threads, bool deterministic) {
  return std::make_unique<CudaBackend>(
      ReadDeviceLimits(), threads > 0 ? threads : ThreadPool::AvailableCores(), deterministic);
}

}  // namespace awq::cuda
