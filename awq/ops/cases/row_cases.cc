// Calls on all rows at once and on pieces of them.
#include "awq/ops/cases/inputs.h"

namespace awq::cases {
namespace {

void AddLinearRows(Table& table, const std::string& kind, const LinearCase& c,
                   const MakeWeight& make) {
  const DType act = table.act();
  table.AddRows(Cat("linear/", kind, "_", Sizes(c)), [=](Fixture& f) {
    const PackedWeight& w = f.Keep(make(f, 0));
    const TensorView x = f.Strided(act, c.m, c.k, c.gap);
    const TensorView y = f.Strided(c.f32_out ? DType::kF32 : act, c.m, c.n, c.gap);
    const TensorView bias = c.bias ? f.Floats(DType::kF32, {c.n}) : TensorView();
    return RowSetup{[=, &f, &w](int64_t begin, int64_t end) {
                      f.backend().Linear(w, x.Rows(begin, end), bias, y.Rows(begin, end));
                    },
                    c.m, y};
  });
}

void AddQuantizedRows(Table& table, const QuantScheme& s, const LinearCase& c) {
  const std::string kind = Cat("q", s.bits, "_g", s.group, s.symmetric ? "_sym" : "_asym");
  AddLinearRows(table, kind, c, [=](Fixture& f, int64_t) {
    return f.backend().PrepareQuantized(f.RandomWeight(s, c.n, c.k, DType::kF16));
  });
}

void AddGatedRows(Table& table, const QuantScheme& s, const LinearCase& c) {
  const DType act = table.act();
  table.AddRows(Cat("gated_linear/g", s.group, "_", Sizes(c)), [=](Fixture& f) {
    const QuantizedWeight weight = f.RandomWeight(s, c.n, c.k, DType::kF16);
    const TensorView x = f.Strided(act, c.m, c.k, c.gap);
    auto gated = f.backend().PrepareGated(weight);
    if (gated == nullptr) {  // then a linear, whatever it is
      const PackedWeight& w = f.Keep(f.backend().PrepareQuantized(weight));
      const TensorView y = f.Strided(act, c.m, c.n, c.gap);
      return RowSetup{[=, &f, &w](int64_t begin, int64_t end) {
                        f.backend().Linear(w, x.Rows(begin, end), {}, y.Rows(begin, end));
                      },
                      c.m, y};
    }
    const PackedWeight& w = f.Keep(std::move(gated));
    const TensorView y = f.Strided(act, c.m, c.n / 2, c.gap);
    return RowSetup{[=, &f, &w](int64_t begin, int64_t end) {
                      f.backend().GatedLinear(w, Activation::kSilu, x.Rows(begin, end), {},
                                              y.Rows(begin, end));
                    },
                    c.m, y};
  });
}

void AddNormRows(Table& table, int64_t columns, bool post) {
  const DType act = table.act();
  table.AddRows(Cat(post ? "norm_add_norm/40x" : "add_norm/40x", columns), [=](Fixture& f) {
    const TensorView residual = f.Strided(DType::kF32, 40, columns, 8);
    const TensorView x = f.Strided(act, 40, columns, 8);
    const TensorView y = f.Strided(act, 40, columns, 8);
    const TensorView weight = f.Floats(DType::kF32, {columns}, 0.3f, 1.0f);
    return RowSetup{
        [=, &f](int64_t begin, int64_t end) {
          const TensorView to = residual.Rows(begin, end);
          const TensorView more = x.Rows(begin, end);
          if (post) {
            f.backend().NormAddNorm({{}, weight, {}}, {}, to, more, weight, {}, y.Rows(begin, end));
          } else {
            f.backend().AddNorm({}, to, more, weight, {}, y.Rows(begin, end));
          }
        },
        40, y};
  });
}

// Tokens [begin, end) of a batch, as steps that come one after another.
Batch Slice(Fixture& f, const Batch& all, int64_t begin, int64_t end) {
  std::vector<int32_t> starts{0};
  std::vector<int32_t> lengths;
  int64_t first = -1;
  Batch out;
  for (int64_t b = 0; b < all.num_seqs(); ++b) {
    const auto i = static_cast<size_t>(b);
    const int64_t low = std::max<int64_t>(begin, all.host_seq_start[i]);
    const int64_t high = std::min<int64_t>(end, all.host_seq_start[i + 1]);
    if (low >= high) continue;
    if (first < 0) first = b;
    starts.push_back(starts.back() + static_cast<int32_t>(high - low));
    lengths.push_back(all.host_kv_len[i] - static_cast<int32_t>(all.host_seq_start[i + 1] - high));
    out.max_query = std::max(out.max_query, high - low);
    out.max_kv = std::max<int64_t>(out.max_kv, lengths.back());
  }
  const auto seqs = static_cast<int64_t>(lengths.size());
  out.tokens = all.tokens.Rows(begin, end);
  out.positions = all.positions.Rows(begin, end);
  out.seq_start = f.Ints(starts, {seqs + 1});
  out.kv_len = f.Ints(lengths, {seqs});
  out.block_table = all.block_table.Rows(first, first + seqs);
  out.host_seq_start = f.Keep(starts);
  out.host_kv_len = f.Keep(lengths);
  return out;
}

void AddAttentionRows(Table& table, const AttentionCase& c) {
  const DType act = table.act();
  const std::string name = Cat("attention/h", c.heads, "_g", c.kv_heads, "_d", c.d, "_w", c.window,
                               c.softcap > 0 ? "_softcap" : "", c.alibi ? "_alibi" : "");
  table.AddRows(name, [=](Fixture& f) {
    const AttentionInputs in = MakeAttention(f, act, c);
    const AttentionArgs args = MakeAttentionArgs(f, c);
    f.backend().KvWrite(in.batch, in.k, in.v, in.cache);
    return RowSetup{[=, &f](int64_t begin, int64_t end) {
                      f.backend().Attention(args, Slice(f, in.batch, begin, end),
                                            in.q.Rows(begin, end), in.cache, in.y.Rows(begin, end));
                    },
                    in.batch.num_tokens(), in.y};
  });
}

// keys: those in the cache are looked at, else the queries.
void AddRopeKvRows(Table& table, int64_t d, bool interleaved, bool keys) {
  const DType act = table.act();
  const std::string name = Cat("rope_kv_write/d", d, interleaved ? "_interleaved" : "");
  table.AddRows(Cat(name, keys ? "_keys" : ""), [=](Fixture& f) {
    const AttentionInputs in = MakeAttention(f, act, {{{150, 1}, {0, 120}, {33, 9}}, 3, 1, d});
    const Tensor frequencies = MakeTensor(DType::kF32, {d / 4});
    for (int64_t i = 0; i < d / 4; ++i) {
      frequencies.As<float>()[i] = 1.0f / static_cast<float>(1 + i);
    }
    const RopeArgs args{.inverse_frequencies = f.Upload(frequencies),
                        .interleaved = interleaved,
                        .magnitude = 1.25f};
    const HeadNorms norms{.q = f.Floats(DType::kF32, {d}, 0.2f, 1.0f),
                          .k = f.Floats(DType::kF32, {d}, 0.2f, 1.0f),
                          .epsilon = 1e-3f};
    return RowSetup{[=, &f](int64_t begin, int64_t end) {
                      f.backend().RopeKvWrite(norms, args, Slice(f, in.batch, begin, end),
                                              in.q.Rows(begin, end), in.k.Rows(begin, end),
                                              in.v.Rows(begin, end), in.cache);
                    },
                    in.batch.num_tokens(), keys ? in.cache.keys : in.q};
  });
}

void AddMlaRows(Table& table, int64_t heads, int64_t rank, int64_t rope) {
  const DType act = table.act();
  table.AddRows(Cat("mla_attention/h", heads, "_r", rank), [=](Fixture& f) {
    const AttentionInputs in =
        MakeAttention(f, act, {{{150, 1}, {0, 45}, {33, 9}}, heads, 1, rank + rope});
    const PagedKv cache{in.cache.keys, {}};
    const int64_t t = in.batch.num_tokens();
    const TensorView q = f.Floats(act, {t, heads, rank});
    const TensorView q_rope = f.Floats(act, {t, heads, rope});
    const TensorView y = f.Floats(act, {t, heads, rank});
    AttentionArgs args;
    args.scale = 0.1f;
    f.backend().KvWrite(in.batch, in.k, {}, cache);
    return RowSetup{[=, &f](int64_t begin, int64_t end) {
                      f.backend().MlaAttention(args, Slice(f, in.batch, begin, end),
                                               q.Rows(begin, end), q_rope.Rows(begin, end), cache,
                                               y.Rows(begin, end));
                    },
                    t, y};
  });
}

void AddHeadRows(Table& table, DType type, int64_t n, int64_t k) {
  const DType act = table.act();
  table.AddRows(Cat("head_linear/h4_n", n, "_k", k), [=](Fixture& f) {
    const PackedStack& w =
        MakeStack(f, 4, [=](Fixture& g, int64_t) { return DenseWeight(g, type, n, k); });
    const TensorView x = f.Floats(act, {70, 4, k});
    const TensorView y = f.Floats(act, {70, 4, n});
    return RowSetup{[=, &f, &w](int64_t begin, int64_t end) {
                      f.backend().HeadLinear(w, x.Rows(begin, end), y.Rows(begin, end));
                    },
                    70, y};
  });
}

constexpr int64_t kMoeTokens = 120;
constexpr int64_t kMoeExperts = 8;
constexpr int64_t kMoeActive = 2;
constexpr int64_t kMoeN = 96;
constexpr int64_t kMoeK = 256;
constexpr int64_t kMoeF = 128;
// y of pairs [P, kMoeN] of x [T, kMoeK].
using MultiplyPairs =
    std::function<void(const Routing& routing, const TensorView& x, const TensorView& y)>;
// The routing of each piece is worked out anew.
void AddMoeRows(Table& table, const std::string& kind,
                const std::function<MultiplyPairs(Fixture&)>& make) {
  const DType act = table.act();
  table.AddRows(Cat("moe/", kind), [=](Fixture& f) {
    const MultiplyPairs multiply = make(f);
    const TensorView logits = f.Floats(DType::kF32, {kMoeTokens, kMoeExperts}, 2.0f);
    const Routing all = MakeRouting(f, kMoeTokens, kMoeExperts, kMoeActive);
    const TensorView x = f.Floats(act, {kMoeTokens, kMoeK});
    const TensorView each = f.Floats(act, {kMoeTokens * kMoeActive, kMoeN});
    const TensorView y = f.Floats(act, {kMoeTokens, kMoeN});
    return RowSetup{[=, &f](int64_t begin, int64_t end) {
                      const TensorView pairs = each.Rows(begin * kMoeActive, end * kMoeActive);
                      const Routing r{.experts = all.experts.Rows(begin, end),
                                      .weights = all.weights.Rows(begin, end),
                                      .pairs = all.pairs.Rows(0, pairs.dim(0)),
                                      .starts = all.starts};
                      f.backend().Route({.normalize = true}, logits.Rows(begin, end), {}, r);
                      multiply(r, x.Rows(begin, end), pairs);
                      f.backend().MoeSum(r, pairs, {}, {}, y.Rows(begin, end));
                    },
                    kMoeTokens, y};
  });
}
void AddPlainMoeRows(Table& table, const std::string& kind, const MakeWeight& make) {
  AddMoeRows(table, kind, [=](Fixture& f) -> MultiplyPairs {
    const PackedStack& w = MakeStack(f, kMoeExperts, make);
    return [&f, &w](const Routing& r, const TensorView& x, const TensorView& y) {
      f.backend().MoeLinear(w, r, x, y);
    };
  });
}
void AddGatedMoeRows(Table& table) {
  const DType act = table.act();
  AddMoeRows(table, "q4_gated", [=](Fixture& f) -> MultiplyPairs {
    const GatedStack w = MakeGatedStack(f, kMoeExperts, [&](int64_t) {
      return f.RandomWeight({.bits = 4, .group = 128}, 2 * kMoeN, kMoeK, DType::kF16);
    });
    const TensorView both = f.Floats(act, {kMoeTokens * kMoeActive, 2 * kMoeN});
    return [=, &f](const Routing& r, const TensorView& x, const TensorView& y) {
      CallGated(f.backend(), w, Activation::kSilu, r, x, both.Rows(0, y.dim(0)), y);
    };
  });
}

void AddMoeMlpRows(Table& table) {
  const DType act = table.act();
  AddMoeRows(table, "q4_mlp", [=](Fixture& f) -> MultiplyPairs {
    const QuantScheme scheme{.bits = 4, .group = 128};
    const GatedStack w = MakeGatedStack(f, kMoeExperts, [&](int64_t) {
      return f.RandomWeight(scheme, 2 * kMoeF, kMoeK, DType::kF16);
    });
    const PackedStack& down = MakeStack(f, kMoeExperts, [=](Fixture& g, int64_t) {
      return g.backend().PrepareQuantized(g.RandomWeight(scheme, kMoeN, kMoeF, DType::kF16));
    });
    const TensorView both = f.Floats(act, {kMoeTokens * kMoeActive, 2 * kMoeF});
    const TensorView hidden = f.Floats(act, {kMoeTokens * kMoeActive, kMoeF});
    return [=, &f, &down](const Routing& r, const TensorView& x, const TensorView& y) {
      const int64_t pairs = y.dim(0);
      CallMlp(f.backend(), w, Activation::kSilu, down, r, x, both.Rows(0, pairs),
              hidden.Rows(0, pairs), y);
    };
  });
}

}  // namespace

void AddRowCases(Table& table) {
  for (DType type : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const LinearCase& c :
         {LinearCase{.m = 70, .n = 96, .k = 136},
          LinearCase{.m = 40, .n = 131, .k = 520, .bias = true, .gap = 8},
          LinearCase{.m = 9, .n = 1100, .k = 136}, LinearCase{.m = 11, .n = 50, .k = 1032},
          LinearCase{.m = 20, .n = 33, .k = 31, .f32_out = true}}) {
      AddLinearRows(table, std::string(NameOf(type)), c,
                    [=](Fixture& f, int64_t) { return DenseWeight(f, type, c.n, c.k); });
    }
  }
  for (int64_t group : {32, 64, 128, -1}) {
    for (int bits : {4, 8}) {
      const QuantScheme s{.bits = bits, .group = group, .symmetric = group == 64};
      AddQuantizedRows(table, s, {.m = 70, .n = 400, .k = 520, .bias = true});
      AddQuantizedRows(table, s, {.m = 130, .n = 75, .k = 1168, .f32_out = true, .gap = 8});
    }
  }
  AddQuantizedRows(table, {.bits = 8, .group = 128}, {.m = 300, .n = 40, .k = 128});
  AddQuantizedRows(table, {.bits = 8, .group = -1}, {.m = 20, .n = 40, .k = 131});
  AddGatedRows(table, {.bits = 4, .group = 128}, {.m = 70, .n = 554, .k = 384, .gap = 8});
  for (bool post : {false, true}) {
    AddNormRows(table, 131, post);
    AddNormRows(table, 5120, post);
  }
  // Prefill, decode, chunked prefill and one token of a new sequence.
  const std::vector<Sequence> steps{{0, 140}, {150, 1}, {133, 17}, {0, 1}, {700, 1}, {0, 9}};
  AddAttentionRows(table, {steps, 32, 8, 128});
  AddAttentionRows(table, {steps, 4, 4, 64});
  AddAttentionRows(table, {steps, 6, 2, 64, 100});
  AddAttentionRows(table, {steps, 6, 2, 80, 0, 16, 2.0f, true});
  AddAttentionRows(table, {steps, 8, 1, 256, 30});
  AddAttentionRows(table, {steps, 5, 1, 24});
  std::vector<Sequence> prompts(9, {0, 60});  // more rows than a large device has places for
  prompts.push_back({300, 60});
  AddAttentionRows(table, {prompts, 32, 8, 64});
  for (int64_t d : {64, 128, 256}) {
    AddRopeKvRows(table, d, d == 128, false);
    AddRopeKvRows(table, d, d == 64, true);
  }
  AddMlaRows(table, 16, 128, 32);
  AddHeadRows(table, DType::kBF16, 24, 40);
  AddHeadRows(table, table.act(), 40, 520);
  AddHeadRows(table, table.act(), 72, 128);
  AddPlainMoeRows(table, "q4", [](Fixture& f, int64_t) {
    return f.backend().PrepareQuantized(
        f.RandomWeight({.bits = 4, .group = 128}, kMoeN, kMoeK, DType::kF16));
  });
  AddPlainMoeRows(table, "bf16",
                  [](Fixture& f, int64_t) { return DenseWeight(f, DType::kBF16, kMoeN, kMoeK); });
  AddGatedMoeRows(table);
  AddMoeMlpRows(table);
}

}  // namespace awq::cases
