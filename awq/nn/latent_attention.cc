#include "awq/nn/latent_attention.h"

#include <vector>

#include "awq/nn/merge.h"
#include "awq/nn/norm.h"

namespace awq {
namespace {

// [T, heads · d] as [T, heads, d]; rows may be strided.
TensorView AsHeads(const TensorView& rows, int64_t d) {
  TensorView out = rows;
  out.shape = Shape{rows.dim(0), rows.dim(1) / d, d};
  out.strides = Shape{rows.strides[0], d, 1};
  return out;
}

// The rows of queries head by head, (nope, rope) each, become all heads' nope, then all heads'
// rope.
LinearWeight SplitQueries(const MlaSpec& spec, const LinearWeight& from) {
  std::vector<int64_t> rows;
  for (int64_t h = 0; h < spec.heads; ++h) {
    for (int64_t i = 0; i < spec.nope_size; ++i) rows.push_back(h * spec.qk_size() + i);
  }
  for (int64_t h = 0; h < spec.heads; ++h) {
    for (int64_t i = spec.nope_size; i < spec.qk_size(); ++i)
      rows.push_back(h * spec.qk_size() + i);
  }
  return TakeRows(from, rows);
}

// kv_b as plain numbers: what a head's part of it is multiplied with differs from one use to the
// other, which no quantized layout can serve.
Tensor Plain(Backend& backend, const LinearWeight& kv_b) {
  if (const auto* dense = std::get_if<Tensor>(&kv_b.weight)) return dense->Share();
  const Tensor f32 = Dequantize(std::get<QuantizedWeight>(kv_b.weight));
  return ConvertTo(f32.view(), backend.Info().activation);
}

}  // namespace

LatentWeights MakeLatentWeights(Backend& backend, int64_t layer, const MlaSpec& spec,
                                const LayerParams& params) {
  const bool two_steps = spec.q_rank > 0;
  LayerParams own;  // queries' rows in our order, everything else as it is
  own.linears.emplace(Role::kQA, params.linears.at(Role::kQA).Share());
  own.linears.emplace(Role::kKvA, params.linears.at(Role::kKvA).Share());
  const Role query = two_steps ? Role::kQB : Role::kQA;
  own.linears[query] = SplitQueries(spec, params.linears.at(query));

  const Tensor kv_b = Plain(backend, params.linears.at(Role::kKvB));
  const DType type = kv_b.dtype();
  std::vector<std::unique_ptr<PackedWeight>> keys, values;
  const Tensor transposed = MakeTensor(type, {spec.kv_rank, spec.nope_size});
  for (int64_t h = 0; h < spec.heads; ++h) {
    const int64_t first = h * (spec.nope_size + spec.v_size);
    const int64_t middle = first + spec.nope_size;
    for (int64_t i = 0; i < spec.nope_size; ++i) {
      for (int64_t r = 0; r < spec.kv_rank; ++r) {
        StoreFloat(transposed.view(), r * spec.nope_size + i,
                   LoadFloat(kv_b.view(), (first + i) * spec.kv_rank + r));
      }
    }
    keys.push_back(backend.PrepareDense(transposed.view(), type));
    values.push_back(backend.PrepareDense(kv_b.view().Rows(middle, middle + spec.v_size), type));
  }
  const auto vector = [&](Role role) {
    const auto it = params.vectors.find(role);
    return it == params.vectors.end() ? Tensor() : ToDevice(backend, it->second.view());
  };
  std::optional<LinearGroup> q_b;
  if (two_steps) q_b.emplace(backend, layer, own, std::vector<Role>{Role::kQB});
  return {LinearGroup(backend, layer, own, {Role::kQA, Role::kKvA}),
          std::move(q_b),
          vector(Role::kQANorm),
          vector(Role::kKvANorm),
          backend.Stack(std::move(keys)),
          backend.Stack(std::move(values)),
          params.linears.contains(Role::kO) ? LinearGroup(backend, layer, params, {Role::kO})
                                            : LinearGroup(backend, layer, params, {})};
}

LatentAttention::LatentAttention(Backend& backend, int64_t layer, const MlaSpec& spec,
                                 LatentWeights weights)
    : layer_(layer), spec_(spec), weights_(std::move(weights)) {
  std::vector<float> values = InverseFrequencies(spec_.rope, 0);
  frequencies_ = ToDevice(
      backend, TensorView(values.data(), DType::kF32, {static_cast<int64_t>(values.size())}));
}

void LatentAttention::Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                              const TensorView& x, const TensorView& y) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView mixed = ctx.scratch.Take(ctx.act, {x.dim(0), spec_.heads * spec_.v_size});
  Mix(ctx, batch, cache, x, mixed);
  weights_.o.Forward(ctx, mixed, y);
}

LatentAttention::Latents LatentAttention::Compress(ExecContext& ctx, const TensorView& x) const {
  const TensorView both = ctx.scratch.Take(ctx.act, {x.dim(0), weights_.q_kv.n()});
  weights_.q_kv.Forward(ctx, x, both);
  const Latents out{weights_.q_kv.Part(both, 0), weights_.q_kv.Part(both, 1)};
  if (weights_.q_b) {
    ctx.backend.Norm(ToArgs(spec_.norm), out.q, weights_.q_norm.view(), {}, out.q);
  }
  return out;
}

void LatentAttention::Mix(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                          const TensorView& x, const TensorView& mixed) const {
  const Workspace::Scope scope(ctx.scratch);
  const int64_t t = x.dim(0);
  const int64_t rank = spec_.kv_rank;
  const Latents latents = Compress(ctx, x);
  TensorView q = latents.q;
  if (weights_.q_b) {
    q = ctx.scratch.Take(ctx.act, {t, spec_.heads * spec_.qk_size()});
    weights_.q_b->Forward(ctx, latents.q, q);
  }
  const int64_t nopes = spec_.heads * spec_.nope_size;
  const TensorView q_nope = AsHeads(q.Columns(0, nopes), spec_.nope_size);
  const TensorView q_rope = AsHeads(q.Columns(nopes, q.dim(1)), spec_.rope_size);
  const RopeArgs rope{.inverse_frequencies = frequencies_.view(),
                      .interleaved = spec_.rope.interleaved,
                      .magnitude = spec_.rope.Magnitude()};
  ctx.backend.LatentWrite(ToArgs(spec_.norm), weights_.kv_norm.view(), rope, batch,
                          AsHeads(latents.kv, spec_.latent_size()), q_rope, cache);
  if (ctx.tap != nullptr) ctx.tap->OnInput(Role::kKvB, layer_, latents.kv.Columns(0, rank));

  const MlaRoom room{ctx.scratch.Take(ctx.act, {t, spec_.heads, rank}),
                     ctx.scratch.Take(ctx.act, {t, spec_.heads, rank})};
  AttentionArgs args;
  args.scale = static_cast<float>(spec_.scale);
  ctx.backend.MlaHeads(args, batch, *weights_.keys, *weights_.values, q_nope, q_rope, cache, room,
                       mixed.Reshape({t, spec_.heads, spec_.v_size}));
}

}  // namespace awq
