#include "awq/ops/profiler.h"

#include <algorithm>
#include <map>

namespace awq {
namespace {

double Bytes(std::initializer_list<TensorView> tensors) {
  double sum = 0;
  for (const TensorView& t : tensors) sum += t.empty() ? 0.0 : static_cast<double>(t.NumBytes());
  return sum;
}

// What attention over a batch reads.
struct Reads {
  double keys = 0;   // of all sequences
  double pairs = 0;  // of a query and a key it sees
};
Reads ReadsOf(const Batch& batch) {
  Reads out;
  for (size_t b = 0; b < batch.host_kv_len.size(); ++b) {
    const double length = batch.host_kv_len[b];
    const double fresh = batch.host_seq_start[b + 1] - batch.host_seq_start[b];
    out.keys += length;
    out.pairs += fresh * (length - (fresh - 1) / 2);
  }
  return out;
}

// What a linear of routed experts moves and multiplies.
struct MoeWork {
  double bytes, flops;
  std::string size;
  MoeWork(const PackedStack& w, const TensorView& x, const TensorView& y)
      : size(Cat(w.n(), "x", w.k())) {
    // Which experts are read is known on the device alone: as many as pairs allow.
    const auto pairs = static_cast<double>(y.dim(0));
    const double share = std::min(1.0, pairs / static_cast<double>(w.size()));
    bytes = share * static_cast<double>(w.NumBytes()) + Bytes({x, y});
    flops = 2.0 * pairs * static_cast<double>(w.n() * w.k());
  }
};

}  // namespace

template <typename F>
void Profiler::NotedMoe(const char* name, const PackedStack& w, const TensorView& x,
                        const TensorView& y, const F& call) {
  const MoeWork work(w, x, y);
  Noted(Cat(name, " ", work.size), work.bytes, work.flops, call);
}

template <typename F>
void Profiler::Noted(std::string name, double bytes, double flops, const F& call) {
  if (notes_.empty()) inner_.Mark(0);
  call();
  notes_.push_back({std::move(name), bytes, flops});
  inner_.Mark(static_cast<int>(notes_.size()));
}

void Profiler::Begin() { notes_.clear(); }

std::vector<OpProfile> Profiler::Take() {
  inner_.Sync();
  std::map<std::string, OpProfile> by_name;
  for (size_t i = 0; i < notes_.size(); ++i) {
    OpProfile& p = by_name[notes_[i].name];
    p.name = notes_[i].name;
    ++p.calls;
    p.seconds += inner_.SecondsBetween(static_cast<int>(i), static_cast<int>(i) + 1);
    p.bytes += notes_[i].bytes;
    p.flops += notes_[i].flops;
  }
  std::vector<OpProfile> out;
  for (auto& [name, profile] : by_name) out.push_back(std::move(profile));
  std::sort(out.begin(), out.end(),
            [](const OpProfile& a, const OpProfile& b) { return a.seconds > b.seconds; });
  return out;
}

std::unique_ptr<Recording> Profiler::Record(const std::function<void()>& calls) {
  return inner_.Record([&] {
    Begin();
    calls();
  });
}

bool Profiler::Decode(PackedDecoder& decoder, const Batch& batch, std::span<const PagedKv> caches,
                      const TensorView& residual) {
  if (notes_.empty()) inner_.Mark(0);
  if (!inner_.Decode(decoder, batch, caches, residual)) return false;
  double token_bytes = 0;  // of keys and values, in all layers
  for (const PagedKv& cache : caches) {
    token_bytes += Bytes({cache.keys, cache.values}) /
                   static_cast<double>(cache.keys.dim(0) * cache.page_size());
  }
  notes_.push_back({Cat("decode ", caches.size(), " layers"),
                    static_cast<double>(decoder.NumBytes()) + Bytes({residual, residual}) +
                        ReadsOf(batch).keys * token_bytes,
                    2.0 * static_cast<double>(decoder.NumParameters())});
  inner_.Mark(static_cast<int>(notes_.size()));
  return true;
}
void Profiler::Linear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
                      const TensorView& y) {
  const double flops = 2.0 * static_cast<double>(x.dim(0)) * static_cast<double>(w.n() * w.k());
  Noted(Cat("linear ", w.n(), "x", w.k()), static_cast<double>(w.NumBytes()) + Bytes({x, bias, y}),
        flops, [&] { inner_.Linear(w, x, bias, y); });
}
void Profiler::GatedLinear(const PackedWeight& w, Activation kind, const TensorView& x,
                           const TensorView& bias, const TensorView& y) {
  const double flops = 2.0 * static_cast<double>(x.dim(0)) * static_cast<double>(w.n() * w.k());
  Noted(Cat("gated_linear ", w.n(), "x", w.k()),
        static_cast<double>(w.NumBytes()) + Bytes({x, bias, y}), flops,
        [&] { inner_.GatedLinear(w, kind, x, bias, y); });
}
void Profiler::Norm(const NormArgs& args, const TensorView& x, const TensorView& weight,
                    const TensorView& bias, const TensorView& y) {
  Noted("norm", Bytes({x, weight, bias, y}), 0, [&] { inner_.Norm(args, x, weight, bias, y); });
}
void Profiler::Add(const TensorView& residual, const TensorView& x) {
  Noted("add", Bytes({residual, residual, x}), 0, [&] { inner_.Add(residual, x); });
}
void Profiler::AddNorm(const NormArgs& args, const TensorView& residual, const TensorView& x,
                       const TensorView& weight, const TensorView& bias, const TensorView& y) {
  Noted("add_norm", Bytes({residual, residual, x, weight, bias, y}), 0,
        [&] { inner_.AddNorm(args, residual, x, weight, bias, y); });
}
void Profiler::NormAddNorm(const PostNorm& post, const NormArgs& args, const TensorView& residual,
                           const TensorView& x, const TensorView& weight, const TensorView& bias,
                           const TensorView& y) {
  Noted("norm_add_norm", Bytes({post.weight, post.bias, residual, residual, x, weight, bias, y}), 0,
        [&] { inner_.NormAddNorm(post, args, residual, x, weight, bias, y); });
}
void Profiler::Scale(const ScaleArgs& args, const TensorView& x, const TensorView& y) {
  Noted("scale", Bytes({x, y}), 0, [&] { inner_.Scale(args, x, y); });
}
void Profiler::Rope(const RopeArgs& args, const TensorView& positions, const TensorView& x) {
  Noted("rope", Bytes({x, x}), 0, [&] { inner_.Rope(args, positions, x); });
}
void Profiler::Activate(Activation kind, const TensorView& gate, const TensorView& up,
                        const TensorView& y) {
  Noted("activate", Bytes({gate, up, y}), 0, [&] { inner_.Activate(kind, gate, up, y); });
}
void Profiler::KvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
                       const PagedKv& cache) {
  Noted("kv_write", Bytes({k, v, k, v}), 0, [&] { inner_.KvWrite(batch, k, v, cache); });
}
void Profiler::RopeKvWrite(const HeadNorms& norms, const RopeArgs& args, const Batch& batch,
                           const TensorView& q, const TensorView& k, const TensorView& v,
                           const PagedKv& cache) {
  Noted("rope_kv_write", Bytes({q, q, k, k, v, v}), 0,
        [&] { inner_.RopeKvWrite(norms, args, batch, q, k, v, cache); });
}
void Profiler::Attention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                         const PagedKv& cache, const TensorView& y) {
  const auto d = static_cast<double>(q.dim(2));
  const Reads reads = ReadsOf(batch);
  const double kv_bytes =
      2 * reads.keys * static_cast<double>(cache.kv_heads()) * d * BitsOf(cache.keys.dtype) / 8;
  Noted("attention", kv_bytes + Bytes({q, y}), 4 * reads.pairs * static_cast<double>(q.dim(1)) * d,
        [&] { inner_.Attention(args, batch, q, cache, y); });
}
void Profiler::MlaAttention(const AttentionArgs& args, const Batch& batch,
                            const TensorView& q_latent, const TensorView& q_rope,
                            const PagedKv& cache, const TensorView& y) {
  const auto d = static_cast<double>(cache.keys.dim(3));
  const auto rank = static_cast<double>(q_latent.dim(2));
  const Reads reads = ReadsOf(batch);
  Noted("mla_attention",
        reads.keys * d * BitsOf(cache.keys.dtype) / 8 + Bytes({q_latent, q_rope, y}),
        2 * reads.pairs * static_cast<double>(q_latent.dim(1)) * (d + rank),
        [&] { inner_.MlaAttention(args, batch, q_latent, q_rope, cache, y); });
}
void Profiler::HeadLinear(const PackedStack& w, const TensorView& x, const TensorView& y) {
  const auto flops = 2.0 * static_cast<double>(x.dim(0) * w.size() * w.n() * w.k());
  Noted(Cat("head_linear ", w.size(), "x", w.n(), "x", w.k()),
        static_cast<double>(w.NumBytes()) + Bytes({x, y}), flops,
        [&] { inner_.HeadLinear(w, x, y); });
}
void Profiler::LatentWrite(const NormArgs& norm, const TensorView& weight, const RopeArgs& rope,
                           const Batch& batch, const TensorView& latents, const TensorView& q_rope,
                           const PagedKv& cache) {
  Noted("latent_write", Bytes({latents, latents, latents, q_rope, q_rope}), 0,
        [&] { inner_.LatentWrite(norm, weight, rope, batch, latents, q_rope, cache); });
}
// What it takes one way or the other, whichever is less arithmetic.
void Profiler::MlaHeads(const AttentionArgs& args, const Batch& batch, const PackedStack& keys,
                        const PackedStack& values, const TensorView& q_nope,
                        const TensorView& q_rope, const PagedKv& cache, const MlaRoom& room,
                        const TensorView& y) {
  const Reads reads = ReadsOf(batch);
  const auto heads = static_cast<double>(keys.size());
  const auto rope = static_cast<double>(q_rope.dim(2));
  const auto weights = static_cast<double>(keys.n() * keys.k() + values.n() * values.k());
  const auto latent = static_cast<double>(keys.n() + values.k()) + rope;
  const auto built = static_cast<double>(keys.k() + values.n()) + rope;
  const double flops = 2 * heads *
                       std::min(static_cast<double>(q_nope.dim(0)) * weights + reads.pairs * latent,
                                reads.keys * weights + reads.pairs * built);
  Noted("mla_heads",
        reads.keys * static_cast<double>(cache.keys.dim(3) * BitsOf(cache.keys.dtype)) / 8 +
            static_cast<double>(keys.NumBytes() + values.NumBytes()) + Bytes({q_nope, q_rope, y}),
        flops, [&] { inner_.MlaHeads(args, batch, keys, values, q_nope, q_rope, cache, room, y); });
}
void Profiler::Route(const RouteArgs& args, const TensorView& logits, const TensorView& bias,
                     const Routing& routing) {
  Noted("route", Bytes({logits, bias, routing.experts, routing.weights, routing.pairs}), 0,
        [&] { inner_.Route(args, logits, bias, routing); });
}
void Profiler::MoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                         const TensorView& y) {
  NotedMoe("moe_linear", w, x, y, [&] { inner_.MoeLinear(w, routing, x, y); });
}
void Profiler::GatedMoeLinear(const PackedStack& w, Activation kind, const Routing& routing,
                              const TensorView& x, const TensorView& y) {
  NotedMoe("gated_moe_linear", w, x, y, [&] { inner_.GatedMoeLinear(w, kind, routing, x, y); });
}
void Profiler::MoeMlp(const PackedStack& gate_up, Activation kind, const PackedStack& down,
                      const Routing& routing, const TensorView& x, const TensorView& hidden,
                      const TensorView& y) {
  const MoeWork first(gate_up, x, hidden);
  const MoeWork second(down, hidden, y);
  Noted(Cat("moe_mlp ", first.size, ", ", second.size), first.bytes + second.bytes,
        first.flops + second.flops,
        [&] { inner_.MoeMlp(gate_up, kind, down, routing, x, hidden, y); });
}
void Profiler::MoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
                      const TensorView& gate, const TensorView& y) {
  Noted("moe_sum", Bytes({x, shared, gate, y}), 0,
        [&] { inner_.MoeSum(routing, x, shared, gate, y); });
}
void Profiler::Embed(const TensorView& tokens, const TensorView& table, const TensorView& y) {
  Noted("embed", Bytes({y, y}), 0, [&] { inner_.Embed(tokens, table, y); });
}
void Profiler::GatherRows(const TensorView& from, const TensorView& rows, const TensorView& to) {
  Noted("gather", Bytes({to, to}), 0, [&] { inner_.GatherRows(from, rows, to); });
}
void Profiler::ArgMax(const TensorView& logits, const TensorView& ids) {
  Noted("argmax", Bytes({logits}), 0, [&] { inner_.ArgMax(logits, ids); });
}

void Profiler::Sample(const SampleArgs& args, const TensorView& logits, const TensorView& ids) {
  Noted("sample", Bytes({logits}), 0, [&] { inner_.Sample(args, logits, ids); });
}

void Profiler::Advance(const AdvanceArgs& args, const TensorView& ids) {
  Noted("advance", 4 * Bytes({ids}), 0, [&] { inner_.Advance(args, ids); });
}

}  // namespace awq
