// Routing to experts and their linears; linears of heads.
#include "awq/ops/cases/inputs.h"

namespace awq::cases {

Routing MakeRouting(Fixture& f, int64_t tokens, int64_t experts, int64_t active) {
  const auto ints = [&](const Shape& shape) {
    return f.Ints(std::vector<int32_t>(static_cast<size_t>(shape.NumElements()), -1), shape);
  };
  Routing out;
  out.experts = ints({tokens, active});
  out.weights = f.Floats(DType::kF32, {tokens, active});
  out.pairs = ints({tokens * active});
  out.starts = ints({experts + 1});
  return out;
}

PackedStack& MakeStack(Fixture& f, int64_t count, const MakeWeight& make) {
  std::vector<std::unique_ptr<PackedWeight>> weights;
  for (int64_t e = 0; e < count; ++e) weights.push_back(make(f, e));
  return f.Keep(f.backend().Stack(std::move(weights)));
}

GatedStack MakeGatedStack(Fixture& f, int64_t count,
                          const std::function<QuantizedWeight(int64_t)>& weight) {
  bool gated = false;
  const PackedStack& packed = MakeStack(f, count, [&](Fixture& fixture, int64_t e) {
    return PrepareGatedOrPlain(fixture.backend(), weight(e), gated);
  });
  return {&packed, gated};
}

void CallGated(Backend& backend, const GatedStack& w, Activation kind, const Routing& routing,
               const TensorView& x, const TensorView& both, const TensorView& y) {
  if (w.gated) return backend.GatedMoeLinear(*w.packed, kind, routing, x, y);
  backend.MoeLinear(*w.packed, routing, x, both);
  ActivateHalves(backend, kind, both, y);
}

void CallMlp(Backend& backend, const GatedStack& w, Activation kind, const PackedStack& down,
             const Routing& routing, const TensorView& x, const TensorView& both,
             const TensorView& hidden, const TensorView& y) {
  if (w.gated) return backend.MoeMlp(*w.packed, kind, down, routing, x, hidden, y);
  CallGated(backend, w, kind, routing, x, both, hidden);
  backend.MoeLinear(down, routing, hidden, y);
}

std::unique_ptr<PackedWeight> DenseWeight(Fixture& f, DType type, int64_t n, int64_t k) {
  const Tensor w = MakeTensor(type, {n, k});
  f.random().Fill(w, 0.05f);
  return f.backend().PrepareDense(w.view(), type);
}

namespace {

struct RouteCase {
  int64_t tokens, experts, active;
  RouteArgs args;
  bool bias = false;
  // Logits from a few values only, so that many are equal.
  bool ties = false;
};

void AddRoute(Table& table, const RouteCase& c) {
  const RouteArgs& a = c.args;
  const std::string name =
      Cat("route/t", c.tokens, "_e", c.experts, "_a", c.active, a.sigmoid ? "_sigmoid" : "_softmax",
          a.normalize ? "_normalized" : "",
          a.groups > 1 ? Cat("_g", a.active_groups, "of", a.groups, "_rank", a.rank_by) : "",
          c.bias ? "_bias" : "", c.ties ? "_ties" : "");
  table.Add(
      name, kExact,
      [=](Fixture& f) {
        const Tensor logits = MakeTensor(DType::kF32, {c.tokens, c.experts});
        for (int64_t i = 0; i < c.tokens * c.experts; ++i) {
          logits.As<float>()[i] =
              c.ties ? static_cast<float>(f.random().Below(3)) : 2 * f.random().Normal();
        }
        const TensorView on_device = f.Upload(logits);
        const TensorView bias =
            c.bias ? f.Floats(DType::kF32, {c.experts}, 0.1f, 1.0f) : TensorView();
        const Routing r = MakeRouting(f, c.tokens, c.experts, c.active);
        return Setup{[=, &f] { f.backend().Route(c.args, on_device, bias, r); },
                     {r.experts, r.weights, r.pairs, r.starts}};
      },
      true);
}

// A routing of random experts, worked out by the backend itself from random logits.
Routing RandomRouting(Fixture& f, int64_t tokens, int64_t experts, int64_t active) {
  const Routing out = MakeRouting(f, tokens, experts, active);
  const TensorView logits = f.Floats(DType::kF32, {tokens, experts}, 2.0f);
  f.backend().Route({}, logits, {}, out);
  f.backend().Sync();
  return out;
}

struct MoeCase {
  int64_t tokens, experts, active, n, k;
  bool per_pair = false;  // x has a row a pair, not a token
  int64_t gap = 0;
};

void AddMoeLinear(Table& table, const std::string& kind, double exact, const MoeCase& c,
                  const MakeWeight& make) {
  const DType act = table.act();
  table.Add(Cat("moe_linear/", kind, "_t", c.tokens, "_e", c.experts, "_a", c.active, "_n", c.n,
                "_k", c.k, c.per_pair ? "_pairs" : "", c.gap > 0 ? "_strided" : ""),
            exact, [=](Fixture& f) {
              PackedStack& w = MakeStack(f, c.experts, make);
              const Routing r = RandomRouting(f, c.tokens, c.experts, c.active);
              const int64_t pairs = c.tokens * c.active;
              const TensorView x = f.Strided(act, c.per_pair ? pairs : c.tokens, c.k, c.gap);
              const TensorView y = f.Strided(act, pairs, c.n, c.gap);
              return Setup{[=, &f, &w] { f.backend().MoeLinear(w, r, x, y); }, {y}};
            });
}

// Expert e has the scheme of its turn.
void AddGatedMoeLinear(Table& table, const std::vector<QuantScheme>& schemes, Activation kind,
                       const MoeCase& c) {
  const DType act = table.act();
  std::string name = "gated_moe_linear/";
  for (const QuantScheme& s : schemes) name += Cat("g", s.group, s.symmetric ? "_sym_" : "_asym_");
  table.Add(Cat(name, "t", c.tokens, "_e", c.experts, "_a", c.active, "_n", c.n, "_k", c.k,
                c.per_pair ? "_pairs" : "", c.gap > 0 ? Cat("_gap", c.gap) : ""),
            GatedTolerance(act), [=](Fixture& f) {
              const GatedStack w = MakeGatedStack(f, c.experts, [&](int64_t e) {
                const QuantScheme& s = schemes[static_cast<size_t>(e) % schemes.size()];
                return f.RandomWeight(s, c.n, c.k, DType::kF16);
              });
              const Routing r = RandomRouting(f, c.tokens, c.experts, c.active);
              const int64_t pairs = c.tokens * c.active;
              const TensorView x = f.Strided(act, c.per_pair ? pairs : c.tokens, c.k, c.gap);
              const TensorView both = f.Strided(act, pairs, c.n, 0);
              const TensorView y = f.Strided(act, pairs, c.n / 2, c.gap);
              return Setup{[=, &f] { CallGated(f.backend(), w, kind, r, x, both, y); }, {y}};
            });
}

// The experts' feed-forward parts: c.n rows of gate and up, and as many outputs as inputs. Expert e
// has the schemes of its turn.
struct MlpSchemes {
  std::string name;
  std::vector<QuantScheme> gate_up, down;
  const QuantScheme& GateUp(int64_t e) const {
    return gate_up[static_cast<size_t>(e) % gate_up.size()];
  }
  const QuantScheme& Down(int64_t e) const { return down[static_cast<size_t>(e) % down.size()]; }
};

void AddMoeMlp(Table& table, const MlpSchemes& s, Activation kind, const MoeCase& c) {
  const DType act = table.act();
  table.Add(Cat("moe_mlp/", s.name, "_t", c.tokens, "_e", c.experts, "_a", c.active, "_n", c.n,
                "_k", c.k, c.gap > 0 ? Cat("_gap", c.gap) : ""),
            2 * GatedTolerance(act), [=](Fixture& f) {
              const GatedStack w = MakeGatedStack(f, c.experts, [&](int64_t e) {
                return f.RandomWeight(s.GateUp(e), c.n, c.k, DType::kF16);
              });
              const PackedStack& down = MakeStack(f, c.experts, [=](Fixture& fixture, int64_t e) {
                return fixture.backend().PrepareQuantized(
                    fixture.RandomWeight(s.Down(e), c.k, c.n / 2, DType::kF16));
              });
              const Routing r = RandomRouting(f, c.tokens, c.experts, c.active);
              const int64_t pairs = c.tokens * c.active;
              const TensorView x = f.Strided(act, c.tokens, c.k, c.gap);
              const TensorView both = f.Strided(act, pairs, c.n, 0);
              const TensorView hidden = f.Strided(act, pairs, c.n / 2, c.gap);
              const TensorView y = f.Strided(act, pairs, c.k, c.gap);
              return Setup{
                  [=, &f, &down] { CallMlp(f.backend(), w, kind, down, r, x, both, hidden, y); },
                  {y}};
            });
}

void AddMoeMlp(Table& table, const QuantScheme& s, Activation kind, const MoeCase& c) {
  AddMoeMlp(table, {Cat("g", s.group, s.symmetric ? "_sym" : "_asym"), {s}, {s}}, kind, c);
}

void AddMoeLinears(Table& table, const MoeCase& c) {
  for (DType type : {DType::kF32, DType::kBF16}) {
    AddMoeLinear(table, std::string(NameOf(type)), kExact, c,
                 [=](Fixture& f, int64_t) { return DenseWeight(f, type, c.n, c.k); });
  }
  for (const QuantScheme& s : {QuantScheme{.bits = 4, .group = 128},
                               QuantScheme{.bits = 4, .group = 32, .symmetric = true}}) {
    AddMoeLinear(table, Cat("q4_g", s.group, s.symmetric ? "_sym" : "_asym"), kRounded, c,
                 [=](Fixture& f, int64_t) {
                   return f.backend().PrepareQuantized(f.RandomWeight(s, c.n, c.k, DType::kF16));
                 });
  }
  // A checkpoint may keep some experts in 16 bits.
  AddMoeLinear(table, "mixed", kRounded, c, [=](Fixture& f, int64_t expert) {
    if (expert % 2 == 0) return DenseWeight(f, DType::kBF16, c.n, c.k);
    return f.backend().PrepareQuantized(
        f.RandomWeight({.bits = 4, .group = 128}, c.n, c.k, DType::kF16));
  });
}

// Many rows of experts whose weights have all forms there are: 4 bits, 8 bits, 16 bits.
void AddMixedExperts(Table& table, const MoeCase& c) {
  const DType act = table.act();
  AddMoeLinear(table, "all_forms", kRounded, c, [=](Fixture& f, int64_t expert) {
    static constexpr QuantScheme kSchemes[] = {{.bits = 4, .group = 128},
                                               {.bits = 4, .group = 32, .symmetric = true},
                                               {.bits = 4, .group = 64},
                                               {.bits = 8, .group = 128, .symmetric = true},
                                               {.bits = 8, .group = 64}};
    const auto turn = static_cast<size_t>(expert) % (std::size(kSchemes) + 1);
    if (turn == std::size(kSchemes)) return DenseWeight(f, act, c.n, c.k);
    return f.backend().PrepareQuantized(f.RandomWeight(kSchemes[turn], c.n, c.k, DType::kF16));
  });
  AddMoeLinear(table, "q8", kRounded, c, [=](Fixture& f, int64_t) {
    return f.backend().PrepareQuantized(
        f.RandomWeight({.bits = 8, .group = 128, .symmetric = true}, c.n, c.k, DType::kF16));
  });
  AddMoeLinear(table, Cat("dense_", NameOf(act)), kExact, c,
               [=](Fixture& f, int64_t) { return DenseWeight(f, act, c.n, c.k); });
}

void AddMoeSum(Table& table, int64_t tokens, int64_t active, int64_t d, bool shared, bool gate) {
  const DType act = table.act();
  table.Add(
      Cat("moe_sum/t", tokens, "_a", active, "_d", d, shared ? "_shared" : "", gate ? "_gate" : ""),
      1e-10, [=](Fixture& f) {
        const Routing r = RandomRouting(f, tokens, 16, active);
        const TensorView x = f.Floats(act, {tokens * active, d});
        const TensorView s = shared ? f.Floats(act, {tokens, d}) : TensorView();
        const TensorView g = gate ? f.Floats(DType::kF32, {tokens, 1}, 2.0f) : TensorView();
        const TensorView y = f.Strided(act, tokens, d, 8);
        return Setup{[=, &f] { f.backend().MoeSum(r, x, s, g, y); }, {y}};
      });
}

void AddHeadLinear(Table& table, int64_t tokens, int64_t heads, int64_t n, int64_t k, int64_t gap,
                   DType type = DType::kBF16) {
  const DType act = table.act();
  table.Add(Cat("head_linear/t", tokens, "_h", heads, "_n", n, "_k", k, gap > 0 ? "_strided" : ""),
            kExact, [=](Fixture& f) {
              PackedStack& w = MakeStack(
                  f, heads, [=](Fixture& g, int64_t) { return DenseWeight(g, type, n, k); });
              TensorView x = f.Strided(act, tokens, heads * k, gap);
              x.shape = Shape{tokens, heads, k};
              x.strides = Shape{heads * k + gap, k, 1};
              const TensorView y = f.Floats(act, {tokens, heads, n});
              return Setup{[=, &f, &w] { f.backend().HeadLinear(w, x, y); }, {y}};
            });
}

}  // namespace

void AddExperts(Table& table) {
  AddRoute(table, {5, 8, 2, {.normalize = true}});
  AddRoute(table, {37, 128, 8, {.normalize = true}});
  AddRoute(table, {1, 60, 4, {}});
  AddRoute(table, {300, 64, 6, {.scale = 16.0f}});
  AddRoute(table, {3, 4, 4, {.normalize = true}});
  AddRoute(table, {19, 160, 6, {.scale = 16.0f, .groups = 8, .active_groups = 3}});
  AddRoute(table, {23,
                   256,
                   8,
                   {.sigmoid = true,
                    .normalize = true,
                    .scale = 2.5f,
                    .groups = 8,
                    .active_groups = 4,
                    .rank_by = 2},
                   true});
  AddRoute(table,
           {9,
            8,
            2,
            {.sigmoid = true, .normalize = true, .groups = 4, .active_groups = 2, .rank_by = 2},
            true});
  AddRoute(table, {50, 16, 4, {.normalize = true}, false, true});
  AddRoute(table, {1, 128, 8, {.normalize = true}});
  AddRoute(table, {3, 70, 40, {.normalize = true}});
  AddRoute(table, {16, 512, 10, {.normalize = true}});
  AddRoute(table, {5, 512, 10, {.normalize = true}, true, true});
  AddRoute(table, {16, 200, 7, {.sigmoid = true}});
  AddRoute(table, {33, 1024, 4, {}});
  AddRoute(table, {16, 70, 5, {.normalize = true}, true, true});
  AddRoute(
      table,
      {50, 32, 4, {.sigmoid = true, .groups = 4, .active_groups = 2, .rank_by = 2}, false, true});

  AddMoeLinears(table, {1, 8, 2, 96, 256});
  AddMoeLinears(table, {1, 8, 2, 64, 128, true});
  AddMoeLinears(table, {7, 16, 4, 80, 256});
  AddMoeLinears(table, {60, 8, 2, 96, 256});
  AddMoeLinears(table, {150, 8, 2, 64, 128, true});
  AddMoeLinears(table, {9, 4, 1, 32, 128, false, 8});
  AddMoeLinears(table, {200, 4, 2, 278, 136, false, 8});
  AddMoeLinears(table, {20, 24, 4, 80, 256});
  AddMoeLinears(table, {40, 136, 8, 32, 128});

  const QuantScheme plain{.bits = 4, .group = 128};
  const QuantScheme middle{.bits = 4, .group = 64};
  const QuantScheme fine{.bits = 4, .group = 32, .symmetric = true};
  AddGatedMoeLinear(table, {plain}, Activation::kSilu, {1, 8, 2, 96, 256});
  AddGatedMoeLinear(table, {fine}, Activation::kGeluTanh, {1, 8, 2, 72, 128, true});
  AddGatedMoeLinear(table, {plain}, Activation::kSilu, {2, 40, 2, 80, 256});
  AddGatedMoeLinear(table, {plain}, Activation::kSilu, {7, 40, 4, 80, 1152});
  AddGatedMoeLinear(table, {middle}, Activation::kSilu, {12, 16, 2, 96, 256});
  AddGatedMoeLinear(table, {middle}, Activation::kSilu, {20, 24, 4, 96, 256});
  AddGatedMoeLinear(table, {fine}, Activation::kSilu, {60, 8, 2, 96, 256});
  AddGatedMoeLinear(table, {plain}, Activation::kGelu, {9, 4, 1, 32, 128, false, 8});
  AddGatedMoeLinear(table, {middle}, Activation::kSilu, {5, 1, 1, 64, 192});
  AddGatedMoeLinear(table, {fine}, Activation::kSilu, {330, 6, 2, 288, 264, true});
  AddGatedMoeLinear(table, {plain, fine}, Activation::kSilu, {19, 6, 2, 64, 256});
  AddGatedMoeLinear(table, {plain}, Activation::kSilu, {9, 4, 1, 32, 136, false, 4});

  AddMoeMlp(table, plain, Activation::kSilu, {1, 8, 2, 256, 256});
  AddMoeMlp(table, plain, Activation::kSilu, {2, 40, 2, 768, 384});
  AddMoeMlp(table, middle, Activation::kGelu, {7, 40, 4, 192, 1152, false, 8});
  AddMoeMlp(table, plain, Activation::kSilu, {20, 24, 4, 256, 128});
  AddMoeMlp(table, fine, Activation::kSilu, {40, 136, 8, 64, 96, false, 8});
  AddMoeMlp(table, plain, Activation::kSilu, {9, 256, 6, 64, 128});
  AddMoeMlp(table, plain, Activation::kSilu, {20, 300, 4, 64, 128});
  AddMoeMlp(table, plain, Activation::kSilu, {90, 8, 2, 288, 136});
  AddMoeMlp(table, plain, Activation::kSilu, {130, 6, 3, 280, 256, false, 4});
  AddMoeMlp(table, middle, Activation::kSilu, {330, 5, 2, 528, 200});

  AddMixedExperts(table, {2, 12, 3, 48, 136});
  AddMixedExperts(table, {40, 12, 2, 170, 264, false, 8});
  AddMixedExperts(table, {130, 7, 2, 72, 200, true, 4});
  AddMixedExperts(table, {300, 6, 1, 150, 136, true, 8});
  // More tiles than thread blocks: more than one each, of several forms.
  AddMixedExperts(table, {30, 150, 8, 300, 136});
  const QuantScheme bytes{.bits = 8, .group = 128, .symmetric = true};
  AddMoeMlp(table, {"mixed_down", {plain}, {plain, bytes}}, Activation::kSilu,
            {40, 9, 2, 160, 136});
  AddMoeMlp(table, {"mixed", {plain, fine}, {bytes}}, Activation::kSilu, {40, 9, 2, 160, 136});
  AddMoeMlp(table, {"bytes_down", {plain}, {bytes}}, Activation::kGelu, {330, 3, 1, 160, 200});

  for (bool gate : {false, true}) AddMoeSum(table, 9, 4, 136, true, gate);
  AddMoeSum(table, 1, 8, 64, false, false);
  AddMoeSum(table, 40, 2, 72, true, false);

  const DType act = table.act();
  AddHeadLinear(table, 1, 8, 64, 16, 0);
  AddHeadLinear(table, 5, 4, 32, 64, 24);
  AddHeadLinear(table, 70, 4, 24, 40, 0);
  AddHeadLinear(table, 3, 5, 72, 512, 8, act);
  AddHeadLinear(table, 21, 3, 136, 200, 0, act);
  AddHeadLinear(table, 50, 2, 40, 520, 0, act);
  AddHeadLinear(table, 90, 3, 64, 128, 16, act);
}

}  // namespace awq::cases
