// Backend: memory and operations of one device. `ref` defines what each call means; every other
// backend is checked against it by the cases of conformance.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "awq/base/tensor.h"
#include "awq/ops/args.h"
#include "awq/ops/packed_decoder.h"
#include "awq/ops/packed_weight.h"
#include "awq/pack/quantized_weight.h"

namespace awq {

struct BackendInfo {
  std::string name;    // "cpu", "ref", "cuda"
  std::string device;  // for people: "AVX-512, 2 threads", "NVIDIA H200"
  int threads = 1;     // host threads it computes with, or may be used for work beside it
  DType activation;    // the type it computes fastest in without loss that matters
};

// Bytes of a device's own memory.
struct MemoryUse {
  int64_t held = 0;     // by the backend: tensors, prepared weights, its own buffers
  int64_t most = 0;     // the most it held since the call before
  int64_t outside = 0;  // in use on the device beside that and what the process keeps for reuse:
                        // driver, kernels, other processes
};

// Calls that can be repeated at once; see Backend::Record.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual void Replay() = 0;
  // Waits for the end of the earliest repetition that was not waited for; where more than two run,
  // for that of a later one.
  virtual void Await() = 0;
};

// Compute calls take views on this device, allocate nothing that outlives them, and may run
// asynchronously until Sync(). One call at a time. Activations ("act" below) are F32 or BF16 (cuda:
// F16, BF16), the same type in all arguments of one call; the residual stream is always F32. The
// last dimension of every view has stride 1; rows may be strided unless "dense" is said. Shapes are
// checked at entry (kInternal); types and sizes that a device cannot do are refused when weights
// are prepared (kUnsupported).
class Backend {
 public:
  virtual ~Backend() = default;
  virtual BackendInfo Info() const = 0;

  // ---- memory
  // Uninitialised; throws kOutOfMemory with the byte count.
  virtual Tensor Alloc(DType type, const Shape& shape) = 0;
  // On the host, as its threads see it; copies from and to it do not wait for the device, and
  // Advance() may write to it. Throws kOutOfMemory.
  virtual Tensor AllocHost(DType type, const Shape& shape) { return MakeTensor(type, shape); }
  // Same type and shape, dense; either side may be on the host.
  virtual void Copy(const TensorView& to, const TensorView& from) = 0;
  virtual void Sync() = 0;
  // Nothing on hosts: there the process's memory is what counts.
  virtual std::optional<MemoryUse> Memory() { return std::nullopt; }
  // Bytes that Alloc can still give, about; 0 if unknown.
  virtual int64_t FreeMemory() = 0;

  // ---- weights: host tensors in, this device's layout out
  // w: F32, F16 or BF16 [N, K], dense; kept in `type` (F32 or a 16-bit type).
  virtual std::unique_ptr<PackedWeight> PrepareDense(const TensorView& w, DType type) = 0;
  virtual std::unique_ptr<PackedWeight> PrepareQuantized(const QuantizedWeight& w) = 0;
  // Rows of gate, then as many of up, for GatedLinear and, in a stack, GatedMoeLinear alone; null
  // where that gains nothing.
  virtual std::unique_ptr<PackedWeight> PrepareGated(const QuantizedWeight& /*w*/) {
    return nullptr;
  }
  // Prepared weights of one shape as one; at least one.
  virtual std::unique_ptr<PackedStack> Stack(
      std::vector<std::unique_ptr<PackedWeight>> weights) = 0;

  // Layers whose calls for one token are one, Decode; null where the device gains nothing from that
  // or cannot, so that they are called one by one.
  virtual std::unique_ptr<PackedDecoder> PrepareDecoder(
      const DecoderArgs& /*args*/, std::span<const DecoderWeights> /*layers*/) {
    return nullptr;
  }

  // ---- compute
  // y[M, N] = x[M, K] · Wᵀ + bias[N]; bias F32 or empty. y may be F32 whatever the type of x.
  virtual void Linear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
                      const TensorView& y) = 0;
  // Linear, then Activate of its two halves: y[M, N / 2] of act; w is of PrepareGated.
  virtual void GatedLinear(const PackedWeight& w, Activation kind, const TensorView& x,
                           const TensorView& bias, const TensorView& y);
  // y[R, C] = norm of each row of x[R, C] · weight[C] (+ bias[C]); x and y: F32 or act, each its
  // own, of rank 2, or [T, heads, C] of rank 3. weight F32; bias F32 or empty. x and y may be the
  // same memory.
  virtual void Norm(const NormArgs& args, const TensorView& x, const TensorView& weight,
                    const TensorView& bias, const TensorView& y) = 0;
  // residual[T, D] += x[T, D]; residual F32, x act or F32.
  virtual void Add(const TensorView& residual, const TensorView& x) = 0;
  // Add, then y[T, D] = Norm of the sum; x and y may be the same memory.
  virtual void AddNorm(const NormArgs& args, const TensorView& residual, const TensorView& x,
                       const TensorView& weight, const TensorView& bias, const TensorView& y) {
    Add(residual, x);
    Norm(args, residual, weight, bias, y);
  }
  // Norm of x in place as `post` says, then AddNorm; x, unless it is y, is undefined afterwards.
  virtual void NormAddNorm(const PostNorm& post, const NormArgs& args, const TensorView& residual,
                           const TensorView& x, const TensorView& weight, const TensorView& bias,
                           const TensorView& y) {
    Norm(post.args, x, post.weight, post.bias, x);
    AddNorm(args, residual, x, weight, bias, y);
  }
  // y[R, C] = x[R, C] as `args` says; x and y: F32 or act, each its own; may be the same memory.
  virtual void Scale(const ScaleArgs& args, const TensorView& x, const TensorView& y) = 0;
  // In place on x[T, heads, d] (dense in the last two dimensions); positions I32 [T].
  virtual void Rope(const RopeArgs& args, const TensorView& positions, const TensorView& x) = 0;
  // y[T, F] = activation(gate[T, F]) · up[T, F]; without gate (empty view): activation(up). y may
  // be the memory of up.
  virtual void Activate(Activation kind, const TensorView& gate, const TensorView& up,
                        const TensorView& y) = 0;
  // Stores the batch's keys and values [T, G, d] in their pages; no values if the cache has none.
  virtual void KvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
                       const PagedKv& cache) = 0;
  // Norm of the heads of q and k, Rope on both, then KvWrite of k and v, in one pass; k is
  // undefined afterwards.
  virtual void RopeKvWrite(const HeadNorms& norms, const RopeArgs& args, const Batch& batch,
                           const TensorView& q, const TensorView& k, const TensorView& v,
                           const PagedKv& cache);
  // y[T, H, d] = causal attention of q[T, H, d] over the cache, which already holds this batch;
  // query head h reads kv head h / (H / G).
  virtual void Attention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                         const PagedKv& cache, const TensorView& y) = 0;
  // What latent attention reads: latents[T, 1, rank + rope] become the Norm of their first rank
  // elements beside the Rope of the others, q_rope[T, H, rope] is rotated, then KvWrite of latents.
  virtual void LatentWrite(const NormArgs& norm, const TensorView& weight, const RopeArgs& rope,
                           const Batch& batch, const TensorView& latents, const TensorView& q_rope,
                           const PagedKv& cache);
  // Latent attention: H heads of queries [T, H, rank] and [T, H, rope] over one latent vector and
  // one rotated key a token, which the cache already holds: a score is scale · (q_latent · latent +
  // q_rope · key), y[T, H, rank] the latent vectors so weighted. No window.
  virtual void MlaAttention(const AttentionArgs& args, const Batch& batch,
                            const TensorView& q_latent, const TensorView& q_rope,
                            const PagedKv& cache, const TensorView& y) = 0;
  // y[t, h, N] = x[t, h, K] · W_hᵀ for H dense weights; heads lie side by side in x and in y.
  virtual void HeadLinear(const PackedStack& w, const TensorView& x, const TensorView& y) = 0;
  // Latent attention between its projections: HeadLinear of keys, which makes q_latent of
  // q_nope[T, H, nope], MlaAttention, and HeadLinear of values: y[T, H, v]. `room` holds nothing to
  // rely on: of many rows a device may build the heads' keys and values instead.
  virtual void MlaHeads(const AttentionArgs& args, const Batch& batch, const PackedStack& keys,
                        const PackedStack& values, const TensorView& q_nope,
                        const TensorView& q_rope, const PagedKv& cache, const MlaRoom& room,
                        const TensorView& y);
  // Where rows with these logits [T, E] F32 go; bias F32 [E] or empty. Equal scores: the lowest
  // expert. NaN never is an index out of range.
  virtual void Route(const RouteArgs& args, const TensorView& logits, const TensorView& bias,
                     const Routing& routing) = 0;
  // y[p, N] = row · W_eᵀ for each pair p, e its expert; row p / (P / M) of x[M, K], so that x has a
  // row a token or a row a pair.
  virtual void MoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                         const TensorView& y) = 0;
  // MoeLinear of weights of PrepareGated, then Activate of the two halves: y[p, N / 2].
  virtual void GatedMoeLinear(const PackedStack& w, Activation kind, const Routing& routing,
                              const TensorView& x, const TensorView& y);
  // GatedMoeLinear of gate_up into hidden[P, F], then MoeLinear of down: y[p, D]. hidden is room
  // for what lies between, in no order to rely on.
  virtual void MoeMlp(const PackedStack& gate_up, Activation kind, const PackedStack& down,
                      const Routing& routing, const TensorView& x, const TensorView& hidden,
                      const TensorView& y) {
    GatedMoeLinear(gate_up, kind, routing, x, hidden);
    MoeLinear(down, routing, hidden, y);
  }
  // y[t, D] = Σ_a weights[t, a] · x[t·A + a, D] + sigmoid(gate[t]) · shared[t, D]; without gate
  // (F32 [T, 1]) shared counts once, without shared it does not count. All but gate: act.
  virtual void MoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
                      const TensorView& gate, const TensorView& y) = 0;
  // residual[1, D] F32 through all layers, for a batch of one token; its keys and values are
  // stored; caches holds one entry a layer. False, and nothing was done, where these caches or so
  // long a sequence are better served by calls one by one.
  virtual bool Decode(PackedDecoder& /*decoder*/, const Batch& /*batch*/,
                      std::span<const PagedKv> /*caches*/, const TensorView& /*residual*/) {
    return false;
  }
  // y[T, D] = table[tokens[t]]; table F32 or 16-bit [V, D], y F32. Ids must be in [0, V).
  virtual void Embed(const TensorView& tokens, const TensorView& table, const TensorView& y) = 0;
  // to[i] = from[rows[i]]; F32 [*, D], rows I32 [R].
  virtual void GatherRows(const TensorView& from, const TensorView& rows, const TensorView& to) = 0;

  // ids[r] = where logits[r, V] is largest, the lowest place among equals; -1 where a logit is NaN
  // or +inf or all are -inf. logits F32 [R, V], ids I32 [R].
  virtual void ArgMax(const TensorView& logits, const TensorView& ids) = 0;

  // ids[r] = a token drawn from logits[r, V], which are overwritten; V ≤ 2^19, ids I32 [R]. Of row
  // r:
  //  1. the logits of `seen` tokens are divided by `repetition` (positive ones) or multiplied by
  //  it,
  //     then `subtract` is taken off; tokens outside the vocabulary are passed over;
  //  2. where ArgMax would answer -1, or the temperature is 0, its answer is the token;
  //  3. a token's distance is (largest logit - logit) / temperature in F32, its weight an integer
  //  of
  //     that, SampleWeight (sample_weight.h);
  //  4. top_k, unless 0, leaves the tokens that are no farther than the k-th nearest;
  //  5. top_p, if below 1, leaves the fewest of those, the nearest and of equals the lowest first,
  //     whose weights reach floor(top_p · their sum) (F64), and 1;
  //  6. tokens farther than most_distance go;
  //  7. of the rest, by rising ids, the first that brings the sum of weights above
  //     random · sum / 2^64 is drawn.
  // Sums are of integers, so that equal logits give equal tokens on every device.
  virtual void Sample(const SampleArgs& args, const TensorView& logits, const TensorView& ids) = 0;

  // The end of a step that drew `ids` I32 [R]: they go to row `next` of `record`, after which the
  // row behind it is next, or the first; they become `tokens`; positions and kv_len grow by 1.
  virtual void Advance(const AdvanceArgs& args, const TensorView& ids) = 0;

  // ---- recording
  // Runs `calls`, compute calls of this backend that allocate nothing the second time, and returns
  // what repeats them on the same memory without the cost of each; null when the device gains
  // nothing from that.
  virtual std::unique_ptr<Recording> Record(const std::function<void()>& calls) {
    calls();
    return nullptr;
  }

  // ---- profiling
  // Notes the device's time at this place among its calls, under a small number.
  virtual void Mark(int slot);
  // Between two marks that were passed; call Sync() before.
  virtual double SecondsBetween(int from, int to);

  // ---- calibration, F32
  // gram[K, K] += xᵀ·x over the rows of x[T, K] (F32 or act); the whole symmetric matrix is kept.
  virtual void Gram(const TensorView& x, const TensorView& gram) = 0;
  // gram[N, K] += xᵀ·y over the rows of x [T, N] and y [T, K] (F32 or act).
  virtual void CrossGram(const TensorView& x, const TensorView& y, const TensorView& gram) = 0;
  // sums[K] += Σ_t |x[t, k]|; F32.
  virtual void AbsSum(const TensorView& x, const TensorView& sums) = 0;
  // c[M, N] = a[M, K] · op(b); op(b) is bᵀ of b[N, K] when transpose_b, else b[K, N].
  virtual void MatMul(const TensorView& a, const TensorView& b, bool transpose_b,
                      const TensorView& c) = 0;
  // a[K, K], symmetric, becomes its lower Cholesky factor in place; above the diagonal it is
  // undefined. Returns -1, or the first column whose pivot is not positive (all is undefined then).
  virtual int64_t Cholesky(const TensorView& a) = 0;
  // b[N, K] := b · op(l)⁻¹ in place; op(l) is lᵀ when transpose; l [K, K] lower triangular.
  virtual void SolveTriangular(const TensorView& l, bool transpose, const TensorView& b) = 0;

 private:
  std::vector<std::chrono::steady_clock::time_point> marks_;
};

}  // namespace awq
