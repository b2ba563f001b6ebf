#include "awq/nn/attention.h"

#include <vector>

namespace awq {
namespace {

TensorView AsView(std::vector<float>& values) {
  return TensorView(values.data(), DType::kF32, {static_cast<int64_t>(values.size())});
}

// [T, heads · d] as [T, heads, d]; rows may be strided.
TensorView AsHeads(const TensorView& rows, int64_t d) {
  TensorView out = rows;
  out.shape = Shape{rows.dim(0), rows.dim(1) / d, d};
  out.strides = Shape{rows.strides[0], d, 1};
  return out;
}

}  // namespace

Attention::Attention(Backend& backend, const GqaSpec& spec, AttentionWeights weights)
    : spec_(spec), weights_(std::move(weights)) {
  AWQ_CHECK(weights_.q_norm.has_value() == weights_.k_norm.has_value(), kInternal,
            "attention: a norm of q or of k alone");
  if (spec_.rope.rotary > 0 && !spec_.rope.DependsOnLength()) {
    std::vector<float> values = InverseFrequencies(spec_.rope, 0);
    frequencies_ = ToDevice(backend, AsView(values));
  }
  if (spec_.alibi != 0) {
    std::vector<float> slopes = AlibiSlopes(spec_.heads, spec_.alibi);
    alibi_slopes_ = ToDevice(backend, AsView(slopes));
  }
}

void Attention::NormRotateStore(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                                const TensorView& q, const TensorView& k,
                                const TensorView& v) const {
  HeadNorms norms;
  if (weights_.q_norm) {
    const Norm& q_norm = *weights_.q_norm;
    const Norm& k_norm = *weights_.k_norm;
    if (!frequencies_.empty() && q_norm.is_plain() && k_norm.is_plain()) {
      norms = {.q = q_norm.weight(), .k = k_norm.weight(), .epsilon = q_norm.epsilon()};
    } else {
      q_norm.Forward(ctx, q, q);
      k_norm.Forward(ctx, k, k);
    }
  }
  if (spec_.rope.rotary == 0) return ctx.backend.KvWrite(batch, k, v, cache);
  RopeArgs args{.inverse_frequencies = frequencies_.view(),
                .interleaved = spec_.rope.interleaved,
                .magnitude = spec_.rope.Magnitude()};
  if (!frequencies_.empty()) return ctx.backend.RopeKvWrite(norms, args, batch, q, k, v, cache);
  // Each sequence has frequencies of its own length, so that its neighbours do not change its
  // tokens.
  for (int64_t b = 0; b < batch.num_seqs(); ++b) {
    const auto i = static_cast<size_t>(b);
    const int64_t begin = batch.host_seq_start[i];
    const int64_t end = batch.host_seq_start[i + 1];
    std::vector<float> values = InverseFrequencies(spec_.rope, batch.host_kv_len[i]);
    args.inverse_frequencies = ctx.scratch.Take(DType::kF32, {static_cast<int64_t>(values.size())});
    ctx.backend.Copy(args.inverse_frequencies, AsView(values));
    ctx.backend.Rope(args, batch.positions.Rows(begin, end), q.Rows(begin, end));
    ctx.backend.Rope(args, batch.positions.Rows(begin, end), k.Rows(begin, end));
  }
  ctx.backend.KvWrite(batch, k, v, cache);
}

void Attention::Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                        const TensorView& x, const TensorView& y) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView mixed = ctx.scratch.Take(ctx.act, {x.dim(0), spec_.heads * spec_.head_size});
  Mix(ctx, batch, cache, x, mixed);
  weights_.o.Forward(ctx, mixed, y);
}

void Attention::Mix(ExecContext& ctx, const Batch& batch, const PagedKv& cache, const TensorView& x,
                    const TensorView& mixed) const {
  const Workspace::Scope scope(ctx.scratch);
  const int64_t t = x.dim(0);
  const int64_t d = spec_.head_size;
  const TensorView qkv = ctx.scratch.Take(ctx.act, {t, weights_.qkv.n()});
  weights_.qkv.Forward(ctx, x, qkv);
  const TensorView q3 = AsHeads(weights_.qkv.Part(qkv, 0), d);
  const TensorView k3 = AsHeads(weights_.qkv.Part(qkv, 1), d);
  const TensorView v3 = AsHeads(weights_.qkv.Part(qkv, 2), d);

  if (spec_.qkv_limit > 0) {
    ctx.backend.Scale({.limit = static_cast<float>(spec_.qkv_limit)}, qkv, qkv);
  }
  NormRotateStore(ctx, batch, cache, q3, k3, v3);

  const AttentionArgs args{.scale = static_cast<float>(spec_.scale),
                           .window = spec_.window,
                           .softcap = static_cast<float>(spec_.softcap),
                           .alibi_slopes = alibi_slopes_.view()};
  ctx.backend.Attention(args, batch, q3, cache, mixed.Reshape({t, spec_.heads, d}));
}

}  // namespace awq
