// Latent attention as a whole, and what it stores.
#include "awq/ops/cases/inputs.h"

namespace awq::cases {
namespace {

// [T, heads · d], rows `gap` apart, as heads.
TensorView StridedHeads(Fixture& f, DType type, int64_t t, int64_t heads, int64_t d, int64_t gap) {
  TensorView out = f.Strided(type, t, heads * d, gap);
  out.shape = Shape{t, heads, d};
  out.strides = Shape{heads * d + gap, d, 1};
  return out;
}

std::string NameOf(const std::vector<Sequence>& sequences) {
  std::string out;
  for (const Sequence& s : sequences) out += Cat("_", s.cached, "+", s.fresh);
  return out;
}

struct LatentCase {
  std::vector<Sequence> sequences;
  int64_t heads, rank, rope;
  int64_t rotary = rope;
  bool interleaved = true;
  bool e4m3 = false;
};

void AddLatentWrite(Table& table, const LatentCase& c) {
  const DType act = table.act();
  // One step of E4M3 where a rounding is a tie (AddRopeKvWrites); a norm rounded twice.
  const double exact = c.e4m3 ? 1e-5 : 1e-10;
  table.Add(
      Cat("latent_write/h", c.heads, "_r", c.rank, "+", c.rope, "_", c.rotary,
          c.interleaved ? "_interleaved" : "", NameOf(c.sequences), c.e4m3 ? "_e4m3" : ""),
      exact, [=](Fixture& f) {
        const int64_t size = c.rank + c.rope;
        const AttentionInputs in = MakeAttention(
            f, act,
            {.sequences = c.sequences, .heads = c.heads, .kv_heads = 1, .d = size, .e4m3 = c.e4m3});
        const PagedKv cache{in.cache.keys, {}};
        const int64_t t = in.batch.num_tokens();
        const TensorView latents = StridedHeads(f, act, t, 1, size, 40);
        const TensorView q = StridedHeads(f, act, t, c.heads, c.rope, 24);
        const TensorView weight = f.Floats(DType::kF32, {c.rank});
        const Tensor angles = MakeTensor(DType::kF32, {c.rotary / 2});
        for (int64_t i = 0; i < c.rotary / 2; ++i) {
          angles.As<float>()[i] = std::exp2(-static_cast<float>(i) / 4.0f);
        }
        const RopeArgs rope{.inverse_frequencies = f.Upload(angles),
                            .interleaved = c.interleaved,
                            .magnitude = 1.25f};
        return Setup{
            [=, &f] { f.backend().LatentWrite({}, weight, rope, in.batch, latents, q, cache); },
            {latents, q, cache.keys}};
      });
}

void AddMlaHeads(Table& table, const LatentCase& c, int64_t nope, int64_t v, bool bf16 = false) {
  const DType act = table.act();
  const DType type = bf16 ? DType::kBF16 : act;
  table.Add(
      Cat("mla_heads/h", c.heads, "_n", nope, "_v", v, "_r", c.rank, "+", c.rope,
          NameOf(c.sequences), bf16 ? "_bf16" : "", c.e4m3 ? "_e4m3" : ""),
      GatedTolerance(act), [=](Fixture& f) {
        const int64_t size = c.rank + c.rope;
        const AttentionInputs in = MakeAttention(
            f, act,
            {.sequences = c.sequences, .heads = c.heads, .kv_heads = 1, .d = size, .e4m3 = c.e4m3});
        const PagedKv cache{in.cache.keys, {}};
        const int64_t t = in.batch.num_tokens();
        const PackedStack& keys = MakeStack(
            f, c.heads, [=](Fixture& g, int64_t) { return DenseWeight(g, type, c.rank, nope); });
        const PackedStack& values = MakeStack(
            f, c.heads, [=](Fixture& g, int64_t) { return DenseWeight(g, type, v, c.rank); });
        const TensorView q_nope = StridedHeads(f, act, t, c.heads, nope, 16);
        const TensorView q_rope = StridedHeads(f, act, t, c.heads, c.rope, 24);
        const MlaRoom room{f.Floats(act, {t, c.heads, c.rank}),
                           f.Floats(act, {t, c.heads, c.rank})};
        const TensorView y = f.Floats(act, {t, c.heads, v});
        AttentionArgs args;
        args.scale = 1.0f / std::sqrt(static_cast<float>(nope + c.rope));
        return Setup{[=, &f, &keys, &values] {
                       f.backend().KvWrite(in.batch, in.k, {}, cache);
                       f.backend().MlaHeads(args, in.batch, keys, values, q_nope, q_rope, cache,
                                            room, y);
                     },
                     {y}};
      });
}

}  // namespace

void AddLatents(Table& table) {
  AddLatentWrite(table, {{{0, 1}, {33, 1}, {150, 1}}, 16, 512, 64});
  AddLatentWrite(table, {{{0, 19}, {5, 1}}, 20, 512, 64, 64, false});
  AddLatentWrite(table, {{{0, 3}, {40, 2}}, 4, 40, 24, 12});
  AddLatentWrite(table, {{{0, 9}, {7, 1}}, 16, 512, 64, 64, true, true});
  const std::vector<Sequence> mixed = {{40, 1}, {0, 70}, {300, 1}, {130, 90}, {20, 30}};
  AddMlaHeads(table, {{{0, 19}, {30, 1}}, 4, 64, 16}, 32, 24);
  AddMlaHeads(table, {mixed, 3, 64, 64}, 128, 128);
  AddMlaHeads(table, {{{0, 200}}, 3, 512, 64}, 128, 128);
  AddMlaHeads(table, {{{300, 1}}, 16, 512, 64}, 128, 128);
  AddMlaHeads(table, {{{40, 1}, {0, 70}, {300, 1}, {130, 90}, {20, 30}}, 6, 512, 64}, 128, 128);
  AddMlaHeads(table, {{{40, 1}, {0, 70}, {9, 3}}, 6, 512, 64, 64, false, true}, 128, 128);
  AddMlaHeads(table, {{{0, 129}, {500, 65}}, 2, 72, 64}, 128, 128, true);
  AddMlaHeads(table, {{{9, 100}, {70, 1}}, 2, 64, 64, 64, true, true}, 128, 128);
}

}  // namespace awq::cases
