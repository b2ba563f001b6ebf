// Operations on rows.
#include <set>

#include "awq/ops/cases/table.h"

namespace awq::cases {
void AddNorms(Table& table) {
  struct NormCase {
    NormKind kind;
    int64_t rows, columns;
    bool bias, f32_in, f32_out, in_place;
  };
  const NormKind rms = NormKind::kRms;
  const NormKind layer = NormKind::kLayer;
  const DType act = table.act();
  for (const NormCase& c : {NormCase{rms, 1, 768, false, true, false, false},
                            NormCase{rms, 5, 131, false, true, true, false},
                            NormCase{rms, 77, 64, false, false, false, true},
                            NormCase{rms, 3, 4096, true, true, false, false},
                            NormCase{layer, 9, 768, true, true, false, false},
                            NormCase{layer, 4, 65, false, true, true, true},
                            NormCase{layer, 40, 100, true, false, false, false}}) {
    const std::string name = Cat("norm/", c.kind == rms ? "rms_" : "layer_", c.rows, "x", c.columns,
                                 c.bias ? "_bias" : "", c.f32_in ? "_f32in" : "",
                                 c.f32_out ? "_f32out" : "", c.in_place ? "_inplace" : "");
    table.Add(name, kExact, [=](Fixture& f) {
      const Tensor host = MakeTensor(c.f32_in ? DType::kF32 : act, {c.rows, c.columns + 8});
      f.random().Fill(host, 3.0f, 1.0f);
      const TensorView x = f.Upload(host).Columns(0, c.columns);
      const TensorView y =
          c.in_place ? x : f.Strided(c.f32_out ? DType::kF32 : act, c.rows, c.columns, 8);
      const TensorView weight = f.Floats(DType::kF32, {c.columns}, 0.3f, 1.0f);
      const TensorView bias = c.bias ? f.Floats(DType::kF32, {c.columns}) : TensorView();
      const NormArgs args{.kind = c.kind, .epsilon = 1e-5f};
      return Setup{[=, &f] { f.backend().Norm(args, x, weight, bias, y); }, {y}};
    });
  }
}

void AddFusedRows(Table& table) {
  const DType act = table.act();
  table.Add("norm/heads_3x5x64_strided", kExact, [=](Fixture& f) {
    const TensorView whole = f.Floats(act, {3, 8 * 64}, 3.0f, 1.0f);
    TensorView heads(whole.As<char>(), act, {3, 5, 64}, whole.device);
    heads.strides[0] = 8 * 64;
    const TensorView weight = f.Floats(DType::kF32, {64}, 0.3f, 1.0f);
    return Setup{[=, &f] { f.backend().Norm({}, heads, weight, {}, heads); }, {whole}};
  });
  for (int64_t columns : {131, 768, 5120}) {
    for (NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
      const std::string name =
          Cat("add_norm/6x", columns, kind == NormKind::kRms ? "_rms" : "_layer");
      table.Add(name, kExact, [=](Fixture& f) {
        const TensorView to = f.Strided(DType::kF32, 6, columns, 8);
        const TensorView x = f.Strided(act, 6, columns, 8);
        const TensorView weight = f.Floats(DType::kF32, {columns}, 0.3f, 1.0f);
        const NormArgs args{.kind = kind, .epsilon = 1e-5f};
        return Setup{[=, &f] { f.backend().AddNorm(args, to, x, weight, {}, x); }, {to, x}};
      });
    }
  }
  struct PostCase {
    int64_t columns;
    NormKind kind = NormKind::kRms;
    bool bias = false, f32_in = false, f32_out = false, in_place = true;
    int64_t gap = 8;
  };
  // Of which a device may do some as one and the others as the calls that it stands for.
  for (const PostCase& c :
       {PostCase{.columns = 131}, PostCase{.columns = 768}, PostCase{.columns = 664, .gap = 5},
        PostCase{.columns = 3584, .in_place = false}, PostCase{.columns = 5376},
        PostCase{.columns = 1027}, PostCase{.columns = 8200},
        PostCase{.columns = 520, .bias = true},
        PostCase{.columns = 768, .f32_in = true, .f32_out = true, .in_place = false},
        PostCase{.columns = 264, .f32_out = true, .in_place = false},
        PostCase{.columns = 768, .kind = NormKind::kLayer, .bias = true}}) {
    const std::string name =
        Cat("norm_add_norm/6x", c.columns, c.kind == NormKind::kRms ? "_rms" : "_layer",
            c.bias ? "_bias" : "", c.f32_in ? "_f32in" : "", c.f32_out ? "_f32out" : "",
            c.in_place ? "_inplace" : "", "_gap", c.gap);
    table.Add(name, kExact, [=](Fixture& f) {
      const TensorView to = f.Strided(DType::kF32, 6, c.columns, c.gap);
      const Tensor host = MakeTensor(c.f32_in ? DType::kF32 : act, {6, c.columns + c.gap});
      f.random().Fill(host, 3.0f, 1.0f);
      const TensorView x = f.Upload(host).Columns(0, c.columns);
      const TensorView y =
          c.in_place ? x : f.Strided(c.f32_out ? DType::kF32 : act, 6, c.columns, c.gap);
      const auto vector = [&] { return f.Floats(DType::kF32, {c.columns}, 0.3f, 1.0f); };
      const TensorView bias = c.bias ? vector() : TensorView();
      const PostNorm post{.args = {.kind = c.kind, .epsilon = 1e-3f},
                          .weight = vector(),
                          .bias = c.bias ? vector() : TensorView()};
      const NormArgs args{.kind = c.kind, .epsilon = 1e-5f};
      const TensorView weight = vector();
      return Setup{[=, &f] { f.backend().NormAddNorm(post, args, to, x, weight, bias, y); },
                   {to, y}};
    });
  }
  table.Add(
      "argmax/6x5003", 0,
      [](Fixture& f) {
        const Tensor host = MakeTensor(DType::kF32, {6, 5003});
        f.random().Fill(host);
        float* row = host.As<float>();
        row[777] = row[4000] = 9.0f;                                 // equal: the first
        row[5003 + 4999] = std::numeric_limits<float>::quiet_NaN();  // -1
        row[2 * 5003 + 1] = std::numeric_limits<float>::infinity();  // -1
        std::fill_n(row + 3 * 5003, 5003, -std::numeric_limits<float>::infinity());  // -1
        std::fill_n(row + 4 * 5003, 5002, -std::numeric_limits<float>::infinity());  // the last
        const TensorView logits = f.Upload(host);
        const TensorView ids = f.Ints({9, 9, 9, 9, 9, 9}, {6});
        return Setup{[=, &f] { f.backend().ArgMax(logits, ids); }, {ids}};
      },
      true);
}

void AddAdvance(Table& table) {
  table.Add(
      "advance/300", 0,
      [](Fixture& f) {
        std::vector<int32_t> values;
        for (int i = 0; i < 300; ++i)
          values.push_back(static_cast<int32_t>(f.random().Below(9999)));
        values[7] = -1;
        const TensorView ids = f.Ints(values, {300});
        const TensorView record = f.HostInts(std::vector<int32_t>(900, 5), {3, 300});
        const AdvanceArgs args{.next = f.Ints({2}, {1}),
                               .record = record,
                               .tokens = f.Ints(std::vector<int32_t>(300, 1), {300}),
                               .positions = f.Ints(values, {300}),
                               .kv_len = f.Ints(std::vector<int32_t>(300, 70000), {300})};
        return Setup{[=, &f] { f.backend().Advance(args, ids); },
                     {args.next, record, args.tokens, args.positions, args.kv_len}};
      },
      true);
}

void AddElementwise(Table& table) {
  const DType act = table.act();
  for (DType type : {act, DType::kF32}) {
    table.Add(Cat("add/7x131_", NameOf(type)), kExact, [=](Fixture& f) {
      const TensorView to = f.Strided(DType::kF32, 7, 131, 5);
      const TensorView x = f.Strided(type, 7, 131, 8);
      return Setup{[=, &f] { f.backend().Add(to, x); }, {to}};
    });
  }
  struct ScaleCase {
    ScaleArgs args;
    const char* name;
    int64_t columns;
  };
  for (const ScaleCase& c :
       {ScaleCase{{.factor = 1.0f}, "convert", 128}, ScaleCase{{.factor = 11.3125f}, "factor", 131},
        ScaleCase{{.limit = 0.75f}, "limit", 1100},
        ScaleCase{{.factor = 8.0f, .softcap = 30.0f}, "softcap", 131},
        ScaleCase{{.factor = 2, .limit = 3, .softcap = 2}, "all", 264}}) {
    using Types = std::set<std::pair<DType, DType>>;
    for (const auto& [from, to] : Types{{DType::kF32, act}, {act, act}, {act, DType::kF32}}) {
      const std::string name =
          Cat("scale/", c.name, "_7x", c.columns, "_", NameOf(from), "_to_", NameOf(to));
      table.Add(name, kExact,
                [=, args = c.args, columns = c.columns, from = from, to = to](Fixture& f) {
                  const TensorView x = f.Strided(from, 7, columns, 8);
                  const TensorView y = from == to ? x : f.Strided(to, 7, columns, 5);
                  return Setup{[=, &f] { f.backend().Scale(args, x, y); }, {y}};
                });
    }
  }
  const std::pair<Activation, const char*> kinds[] = {{Activation::kSilu, "silu"},
                                                      {Activation::kGelu, "gelu"},
                                                      {Activation::kGeluTanh, "gelu_tanh"},
                                                      {Activation::kRelu, "relu"}};
  for (const auto& [kind, kind_name] : kinds) {
    for (bool gated : {true, false}) {
      for (int64_t columns : {131, 2048}) {
        const std::string name =
            Cat("activate/", kind_name, gated ? "_gated_" : "_", "5x", columns);
        table.Add(name, kExact, [=, kind = kind](Fixture& f) {
          const TensorView gate = gated ? f.Floats(act, {5, columns}, 4.0f) : TensorView();
          const TensorView up = f.Floats(act, {5, columns}, gated ? 1.0f : 4.0f);
          const TensorView y = gated ? up : f.Strided(act, 5, columns, 8);
          return Setup{[=, &f] { f.backend().Activate(kind, gate, up, y); }, {y}};
        });
      }
      // So far from zero that exponentials overflow.
      table.Add(Cat("activate/", kind_name, gated ? "_gated" : "", "_large"), kExact,
                [=, kind = kind](Fixture& f) {
                  const TensorView gate = gated ? f.Floats(act, {5, 131}, 200.0f) : TensorView();
                  const TensorView up = f.Floats(act, {5, 131}, gated ? 1.0f : 200.0f);
                  return Setup{[=, &f] { f.backend().Activate(kind, gate, up, up); }, {up}};
                });
    }
  }
}

void AddRope(Table& table) {
  const DType act = table.act();
  struct RopeCase {
    int64_t tokens, heads, d, rotary;
    bool interleaved;
    float magnitude;
  };
  for (const RopeCase& c :
       {RopeCase{5, 3, 64, 64, false, 1.0f}, RopeCase{33, 2, 128, 128, true, 1.0f},
        RopeCase{7, 4, 80, 32, false, 1.0f}, RopeCase{4, 1, 96, 48, true, 1.0f},
        RopeCase{3, 5, 24, 24, false, 1.25f}}) {
    const std::string name =
        Cat("rope/t", c.tokens, "_h", c.heads, "_d", c.d, "_r", c.rotary,
            c.interleaved ? "_interleaved" : "", c.magnitude != 1 ? "_yarn" : "");
    table.Add(name, 1e-10, [=](Fixture& f) {
      std::vector<int32_t> positions;
      for (int64_t t = 0; t < c.tokens; ++t) {
        // Small, growing and very long contexts.
        positions.push_back(static_cast<int32_t>(t < 3 ? t : t * 4001));
      }
      const Tensor frequencies = MakeTensor(DType::kF32, {c.rotary / 2});
      for (int64_t i = 0; i < c.rotary / 2; ++i) {
        frequencies.As<float>()[i] = static_cast<float>(
            std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(c.rotary)));
      }
      const RopeArgs args{.inverse_frequencies = f.Upload(frequencies),
                          .interleaved = c.interleaved,
                          .magnitude = c.magnitude};
      const TensorView p = f.Ints(positions, {c.tokens});
      const TensorView x = f.Floats(act, {c.tokens, c.heads, c.d});
      return Setup{[=, &f] { f.backend().Rope(args, p, x); }, {x}};
    });
  }
}

void AddTables(Table& table) {
  for (DType type : {DType::kF32, DType::kBF16, DType::kF16}) {
    table.Add(
        Cat("embed/", NameOf(type)), 0,
        [=](Fixture& f) {
          const TensorView rows = f.Strided(type, 50, 72, 8);
          const TensorView tokens = f.Ints({49, 0, 3, 3, 17}, {5});
          const TensorView y = f.Strided(DType::kF32, 5, 72, 8);
          return Setup{[=, &f] { f.backend().Embed(tokens, rows, y); }, {y}};
        },
        true);
  }
  table.Add(
      "gather/5of40", 0,
      [](Fixture& f) {
        const TensorView from = f.Strided(DType::kF32, 40, 33, 3);
        const TensorView rows = f.Ints({39, 0, 7, 7, 1}, {5});
        const TensorView to = f.Strided(DType::kF32, 5, 33, 1);
        return Setup{[=, &f] { f.backend().GatherRows(from, rows, to); }, {to}};
      },
      true);
}

}  // namespace awq::cases
