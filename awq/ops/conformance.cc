#include "awq/ops/conformance.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <memory>
#include <numeric>
#include <string_view>

namespace awq {
namespace {

// Inputs that are the same on every platform: splitmix64, and the sum of four uniforms as a bell
// curve.
class Random {
 public:
  explicit Random(std::string_view seed) {
    for (char c : seed) state_ = (state_ ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  }
  uint64_t Bits() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int64_t Below(int64_t n) { return static_cast<int64_t>(Bits() % static_cast<uint64_t>(n)); }
  float Uniform() { return static_cast<float>(Bits() >> 40) * 0x1p-24f; }
  float Normal() { return (Uniform() + Uniform() + Uniform() + Uniform() - 2.0f) * 1.7320508f; }
  void Fill(const Tensor& t, float scale = 1.0f, float shift = 0.0f) {
    for (int64_t i = 0; i < t.view().NumElements(); ++i) {
      StoreFloat(t.view(), i, shift + scale * Normal());
    }
  }

 private:
  uint64_t state_ = 0xcbf29ce484222325u;
};

// The device tensors of one case.
class Fixture {
 public:
  Fixture(Backend& backend, const std::string& name) : backend_(backend), random_(name) {}

  Backend& backend() { return backend_; }
  Random& random() { return random_; }

  TensorView Upload(const Tensor& host) {
    tensors_.push_back(backend_.Alloc(host.dtype(), host.shape()));
    backend_.Copy(tensors_.back().view(), host.view());
    return tensors_.back().view();
  }
  TensorView Floats(DType type, const Shape& shape, float scale = 1.0f, float shift = 0.0f) {
    const Tensor host = MakeTensor(type, shape);
    random_.Fill(host, scale, shift);
    return Upload(host);
  }
  // [rows, columns] inside rows that are `gap` elements longer.
  TensorView Strided(DType type, int64_t rows, int64_t columns, int64_t gap) {
    return Floats(type, {rows, columns + gap}).Columns(0, columns);
  }
  TensorView Ints(const std::vector<int32_t>& values, const Shape& shape) {
    const Tensor host = MakeTensor(DType::kI32, shape);
    std::copy(values.begin(), values.end(), host.As<int32_t>());
    return Upload(host);
  }
  std::span<const int32_t> Keep(std::vector<int32_t> values) {
    ints_.push_back(std::move(values));
    return ints_.back();
  }
  PackedWeight& Keep(std::unique_ptr<PackedWeight> weight) {
    weights_.push_back(std::move(weight));
    return *weights_.back();
  }
  // The tensor that holds view's memory, as floats.
  std::vector<float> Download(const TensorView& view) {
    backend_.Sync();
    for (const Tensor& t : tensors_) {
      if (t.view().data != view.data) continue;
      const Tensor host = MakeTensor(t.dtype(), t.shape());
      backend_.Copy(host.view(), t.view());
      backend_.Sync();
      std::vector<float> out(static_cast<size_t>(host.view().NumElements()));
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] = t.dtype() == DType::kI32 ? static_cast<float>(host.As<const int32_t>()[i])
                                          : LoadFloat(host.view(), static_cast<int64_t>(i));
      }
      return out;
    }
    Fail(ErrorCode::kInternal, "conformance: a view of no tensor");
  }

 private:
  Backend& backend_;
  Random random_;
  std::vector<Tensor> tensors_;
  std::vector<std::unique_ptr<PackedWeight>> weights_;
  std::deque<std::vector<int32_t>> ints_;
};

// What sets a case up: uploads, and returns the call and the tensor it writes.
struct Setup {
  std::function<void()> call;
  std::vector<TensorView> written;
};
using Builder = std::function<Setup(Fixture&)>;

class Table {
 public:
  explicit Table(DType act) : act_(act) {}
  DType act() const { return act_; }
  // `exact` is the tolerance with F32 activations; 16-bit ones add the rounding of weights and of
  // the output: squares of 2^-8 and 2^-11, with room.
  void Add(std::string name, double exact, Builder build, bool f32_only = false) {
    double tolerance = exact;
    if (!f32_only && act_ == DType::kBF16) tolerance = std::max(exact, 2e-5);
    if (!f32_only && act_ == DType::kF16) tolerance = std::max(exact, 1e-6);
    auto make = [name, build = std::move(build)](Backend& backend) {
      auto fixture = std::make_shared<Fixture>(backend, name);
      Setup setup = build(*fixture);
      auto result = [fixture, written = setup.written] {
        std::vector<float> out;
        for (const TensorView& view : written) {
          const std::vector<float> part = fixture->Download(view);
          out.insert(out.end(), part.begin(), part.end());
        }
        return out;
      };
      return OpRun{[fixture, call = std::move(setup.call)] { call(); }, std::move(result)};
    };
    cases_.push_back({std::move(name), tolerance, std::move(make)});
  }
  std::vector<OpCase> Take() { return std::move(cases_); }

 private:
  DType act_;
  std::vector<OpCase> cases_;
};

constexpr double kExact = 1e-11;     // f32 in, f32 sums, f32 out
constexpr double kRounded = 1e-8;    // 16-bit fixed-point or split activations
constexpr double kF16Scales = 1e-7;  // F32 scales that a device keeps in 16 bits

// ---- linears

struct LinearCase {
  int64_t m, n, k;
  bool bias = false;
  bool f32_out = false;
  int64_t gap = 0;  // extra elements in the rows of x and y
};

Setup SetUpLinear(Fixture& f, DType act, const LinearCase& c, PackedWeight& w) {
  const TensorView x = f.Strided(act, c.m, c.k, c.gap);
  const TensorView y = f.Strided(c.f32_out ? DType::kF32 : act, c.m, c.n, c.gap);
  const TensorView bias = c.bias ? f.Floats(DType::kF32, {c.n}) : TensorView();
  return {[&f, &w, x, y, bias] { f.backend().Linear(w, x, bias, y); }, {y}};
}

std::string Sizes(const LinearCase& c) {
  return Cat("m", c.m, "_n", c.n, "_k", c.k, c.bias ? "_bias" : "", c.f32_out ? "_f32out" : "",
             c.gap ? "_strided" : "");
}

void AddDense(Table& table, DType type, const LinearCase& c) {
  const DType act = table.act();
  table.Add(Cat("linear_dense/", NameOf(type), "_", Sizes(c)), kExact, [=](Fixture& f) {
    const Tensor w = MakeTensor(type, {c.n, c.k});
    f.random().Fill(w, 0.05f);
    return SetUpLinear(f, act, c, f.Keep(f.backend().PrepareDense(w.view(), type)));
  });
}

void AddQuantized(Table& table, const QuantScheme& scheme, const LinearCase& c,
                  DType scale_type = DType::kF16) {
  const DType act = table.act();
  const std::string name = Cat("linear_q", scheme.bits, "/", Sizes(c), "_g",
                               scheme.group < 0 ? "row" : std::to_string(scheme.group),
                               scheme.symmetric ? "_sym" : "_asym", "_", NameOf(scale_type));
  const double exact = scale_type == DType::kF32 ? kF16Scales : kRounded;
  table.Add(name, exact, [=](Fixture& f) {
    QuantizedWeight w = MakeQuantizedWeight(scheme, c.n, c.k, scale_type);
    const int64_t groups = scheme.Groups(c.k);
    for (int64_t r = 0; r < c.n; ++r) {
      for (int64_t i = 0; i < c.k; ++i) {
        SetCode(w, r, i, static_cast<int>(f.random().Below(scheme.MaxCode() + 1)));
      }
      for (int64_t g = 0; g < groups; ++g) {
        StoreFloat(w.scales.view(), r * groups + g, 0.005f + 0.02f * f.random().Uniform());
        if (!scheme.symmetric) {
          w.zeros.As<uint8_t>()[r * groups + g] =
              static_cast<uint8_t>(f.random().Below(scheme.MaxCode() + 1));
        }
      }
    }
    return SetUpLinear(f, act, c, f.Keep(f.backend().PrepareQuantized(w)));
  });
}

void AddLinears(Table& table) {
  for (DType type : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (int64_t m : {1, 2, 3, 5, 8, 9, 13, 16, 31, 300}) AddDense(table, type, {m, 96, 136});
    AddDense(table, type, {.m = 1, .n = 257, .k = 768, .bias = true});
    AddDense(table, type, {.m = 17, .n = 131, .k = 264, .bias = true, .f32_out = true, .gap = 8});
    AddDense(table, type, {.m = 4, .n = 5, .k = 8, .gap = 8});
    AddDense(table, type, {.m = 300, .n = 64, .k = 520, .f32_out = true});
  }
  AddDense(table, DType::kF32, {.m = 7, .n = 3, .k = 31});
  AddDense(table, DType::kF32, {.m = 800, .n = 33, .k = 40});
  const QuantScheme g128{.bits = 4, .group = 128};
  for (int64_t m = 1; m <= 20; ++m) AddQuantized(table, g128, {m, 80, 256});
  for (int64_t m : {31, 64, 300}) AddQuantized(table, g128, {m, 96, 384});
  for (int64_t group : {32, 64, 128, -1}) {
    for (bool symmetric : {false, true}) {
      const QuantScheme s{.bits = 4, .group = group, .symmetric = symmetric};
      for (int64_t m : {1, 6, 40}) {
        AddQuantized(table, s, {m, 48, 256});
        AddQuantized(table, s, {.m = m, .n = 131, .k = 328, .bias = true}, DType::kBF16);
        AddQuantized(table, s, {.m = m, .n = 17, .k = 72, .f32_out = true, .gap = 8}, DType::kF32);
      }
    }
  }
  for (int64_t group : {32, 128, -1}) {
    for (bool symmetric : {false, true}) {
      const QuantScheme s{.bits = 8, .group = group, .symmetric = symmetric};
      for (int64_t m : {1, 3, 40})
        AddQuantized(table, s, {.m = m, .n = 75, .k = 264, .bias = true});
    }
  }
  AddQuantized(table, g128, {.m = 800, .n = 40, .k = 128});
}

// ---- rows

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

void AddElementwise(Table& table) {
  const DType act = table.act();
  for (DType type : {act, DType::kF32}) {
    table.Add(Cat("add/7x131_", NameOf(type)), kExact, [=](Fixture& f) {
      const TensorView to = f.Strided(DType::kF32, 7, 131, 5);
      const TensorView x = f.Strided(type, 7, 131, 8);
      return Setup{[=, &f] { f.backend().Add(to, x); }, {to}};
    });
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

// ---- attention

struct Sequence {
  int64_t cached;  // tokens before this step
  int64_t fresh;   // tokens of this step
};

struct AttentionCase {
  std::vector<Sequence> sequences;
  int64_t heads, kv_heads, d;
  int64_t window = 0;
  int64_t page_size = 16;
};

struct AttentionInputs {
  Batch batch;
  PagedKv cache;
  TensorView q, k, v, y;
};

// Pages are dealt in a shuffled order; the cache is full of noise that only masks keep out.
AttentionInputs MakeAttention(Fixture& f, DType act, const AttentionCase& c) {
  std::vector<int32_t> starts{0}, lengths, positions;
  int64_t blocks = 1, pages = 1, max_query = 0, max_kv = 0;
  for (const Sequence& s : c.sequences) {
    starts.push_back(starts.back() + static_cast<int32_t>(s.fresh));
    lengths.push_back(static_cast<int32_t>(s.cached + s.fresh));
    for (int64_t i = 0; i < s.fresh; ++i) positions.push_back(static_cast<int32_t>(s.cached + i));
    const int64_t used = (s.cached + s.fresh + c.page_size - 1) / c.page_size;
    blocks = std::max(blocks, used);
    pages += used;
    max_query = std::max(max_query, s.fresh);
    max_kv = std::max(max_kv, s.cached + s.fresh);
  }
  std::vector<int32_t> order(static_cast<size_t>(pages));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size() - 1; i > 0; --i) {
    std::swap(order[i], order[static_cast<size_t>(f.random().Below(static_cast<int64_t>(i) + 1))]);
  }
  const auto seqs = static_cast<int64_t>(c.sequences.size());
  std::vector<int32_t> table(static_cast<size_t>(seqs * blocks), 0);
  size_t next = 0;
  for (int64_t b = 0; b < seqs; ++b) {
    const int64_t used = (lengths[static_cast<size_t>(b)] + c.page_size - 1) / c.page_size;
    for (int64_t i = 0; i < used; ++i) table[static_cast<size_t>(b * blocks + i)] = order[next++];
  }
  const int64_t t = starts.back();
  AttentionInputs in;
  in.batch.tokens = f.Ints(std::vector<int32_t>(static_cast<size_t>(t), 1), {t});
  in.batch.positions = f.Ints(positions, {t});
  in.batch.seq_start = f.Ints(starts, {seqs + 1});
  in.batch.kv_len = f.Ints(lengths, {seqs});
  in.batch.block_table = f.Ints(table, {seqs, blocks});
  in.batch.host_seq_start = f.Keep(starts);
  in.batch.host_kv_len = f.Keep(lengths);
  in.batch.max_query = max_query;
  in.batch.max_kv = max_kv;
  const Shape shape{pages, c.kv_heads, c.page_size, c.d};
  in.cache = {f.Floats(act, shape, 1.5f), f.Floats(act, shape)};
  in.q = f.Floats(act, {t, c.heads, c.d}, 1.5f);
  in.k = f.Floats(act, {t, c.kv_heads, c.d}, 1.5f);
  in.v = f.Floats(act, {t, c.kv_heads, c.d});
  in.y = f.Floats(act, {t, c.heads, c.d});
  return in;
}

void AddAttention(Table& table, const AttentionCase& c) {
  std::string name =
      Cat("h", c.heads, "_g", c.kv_heads, "_d", c.d, "_w", c.window, "_p", c.page_size);
  for (const Sequence& s : c.sequences) name += Cat("_", s.cached, "+", s.fresh);
  const DType act = table.act();
  table.Add("attention/" + name, 1e-10, [=](Fixture& f) {
    const AttentionInputs in = MakeAttention(f, act, c);
    const AttentionArgs args{.scale = 1.0f / std::sqrt(static_cast<float>(c.d)),
                             .window = c.window};
    return Setup{[=, &f] {
                   f.backend().KvWrite(in.batch, in.k, in.v, in.cache);
                   f.backend().Attention(args, in.batch, in.q, in.cache, in.y);
                 },
                 {in.y, in.cache.keys, in.cache.values}};
  });
}

void AddRopeKvWrites(Table& table) {
  const DType act = table.act();
  struct Rotation {
    int64_t d, rotary;
    bool interleaved;
  };
  for (const Rotation& r : {Rotation{64, 64, false}, Rotation{128, 128, true},
                            Rotation{80, 32, false}, Rotation{24, 6, true}}) {
    const std::string name =
        Cat("rope_kv_write/d", r.d, "_r", r.rotary, r.interleaved ? "_interleaved" : "");
    table.Add(name, 1e-10, [=](Fixture& f) {
      const AttentionInputs in =
          MakeAttention(f, act, {{{0, 9}, {70, 1}, {33, 5}}, 6, 2, r.d, 0, 16});
      const Tensor frequencies = MakeTensor(DType::kF32, {r.rotary / 2});
      for (int64_t i = 0; i < r.rotary / 2; ++i) {
        frequencies.As<float>()[i] = 1.0f / static_cast<float>(1 + i * i);
      }
      const RopeArgs args{.inverse_frequencies = f.Upload(frequencies),
                          .interleaved = r.interleaved,
                          .magnitude = 1.25f};
      return Setup{[=, &f] { f.backend().RopeKvWrite(args, in.batch, in.q, in.k, in.v, in.cache); },
                   {in.q, in.cache.keys, in.cache.values}};
    });
  }
}

void AddAttentions(Table& table) {
  for (int64_t d : {8, 24, 40, 64, 72, 80, 96, 112, 128, 192, 256}) {
    AddAttention(table, {{{0, 19}}, 4, 2, d});
    AddAttention(table, {{{50, 1}, {0, 5}}, 4, 2, d});
  }
  for (const auto& [heads, kv_heads] :
       {std::pair<int64_t, int64_t>{4, 4}, {6, 2}, {12, 1}, {32, 1}}) {
    AddAttention(table, {{{37, 1}}, heads, kv_heads, 64});
    AddAttention(table, {{{0, 45}}, heads, kv_heads, 64});
    // Prefill, decode, chunked prefill and one token of a new sequence in one step.
    AddAttention(table, {{{0, 40}, {150, 1}, {33, 17}, {0, 1}, {300, 1}}, heads, kv_heads, 64});
  }
  for (int64_t window : {1, 7, 16, 100}) {
    AddAttention(table, {{{0, 70}, {140, 1}, {20, 30}}, 4, 2, 64, window});
  }
  AddAttention(table, {{{0, 300}}, 4, 2, 64});
  AddAttention(table, {{{129, 140}}, 2, 1, 128, 90});
  AddAttention(table, {{{260, 1}, {3, 9}}, 4, 2, 64, 0, 32});
  AddAttention(table, {{{10, 3}, {0, 12}}, 4, 1, 64, 5, 4});
}

// ---- calibration

void AddCalibration(Table& table) {
  for (DType type : {table.act(), DType::kF32}) {
    for (const auto& [t, k] :
         {std::pair<int64_t, int64_t>{1, 16}, {40, 75}, {7, 264}, {300, 100}}) {
      const std::string sizes = Cat(t, "x", k, "_", NameOf(type));
      table.Add(
          "gram/" + sizes, 1e-10,
          [=, t = t, k = k](Fixture& f) {
            const TensorView x = f.Strided(type, t, k, 8);
            const Tensor zero = MakeTensor(DType::kF32, {k, k});
            const TensorView gram = f.Upload(zero);
            return Setup{[=, &f] {
                           f.backend().Gram(x, gram);
                           f.backend().Gram(x.Rows(0, 1), gram);
                         },
                         {gram}};
          },
          true);
      table.Add(
          "crossgram/" + sizes, 1e-10,
          [=, t = t, k = k](Fixture& f) {
            const TensorView x = f.Strided(type, t, k, 8);
            const TensorView y = f.Strided(type, t, k, 3);
            const TensorView gram = f.Floats(DType::kF32, {k, k});
            return Setup{[=, &f] { f.backend().CrossGram(x, y, gram); }, {gram}};
          },
          true);
      table.Add(
          "abssum/" + sizes, 1e-10,
          [=, t = t, k = k](Fixture& f) {
            const TensorView x = f.Strided(type, t, k, 8);
            const TensorView sums = f.Floats(DType::kF32, {k});
            return Setup{[=, &f] { f.backend().AbsSum(x, sums); }, {sums}};
          },
          true);
    }
  }
  for (const int64_t k : {1, 50, 128, 300}) {
    // x·(l·lᵀ)⁻¹ through the factor of a well-conditioned matrix, and each half alone.
    for (const int halves : {1, 2, 3}) {
      table.Add(
          Cat("solve/", k, "_", halves), 1e-10,
          [=](Fixture& f) {
            const TensorView x = f.Floats(DType::kF32, {2 * k, k});
            const TensorView l = f.Strided(DType::kF32, k, k, 4);
            const TensorView b = f.Strided(DType::kF32, 37, k, 5);
            return Setup{[=, &f] {
                           Backend& backend = f.backend();
                           const Tensor gram = backend.Alloc(DType::kF32, {k, k});
                           backend.Copy(gram.view(), MakeTensor(DType::kF32, {k, k}).view());
                           backend.Gram(x, gram.view());
                           for (int64_t i = 0; i < k; ++i)
                             backend.Copy(l.Rows(i, i + 1), gram.view().Rows(i, i + 1));
                           AWQ_CHECK(backend.Cholesky(l) == -1, kInternal, "cholesky failed");
                           if (halves & 1) backend.SolveTriangular(l, true, b);
                           if (halves & 2) backend.SolveTriangular(l, false, b);
                         },
                         {b}};
          },
          true);
    }
  }
  for (bool transpose : {false, true}) {
    for (const LinearCase& c : {LinearCase{1, 1, 1}, LinearCase{5, 33, 70}, LinearCase{64, 64, 64},
                                LinearCase{300, 40, 129}, LinearCase{13, 257, 300}}) {
      table.Add(
          Cat("matmul/", Sizes(c), transpose ? "_transposed" : ""), 1e-10,
          [=](Fixture& f) {
            const TensorView a = f.Strided(DType::kF32, c.m, c.k, 3);
            const TensorView b = transpose ? f.Strided(DType::kF32, c.n, c.k, 5)
                                           : f.Strided(DType::kF32, c.k, c.n, 5);
            const TensorView out = f.Strided(DType::kF32, c.m, c.n, 7);
            return Setup{[=, &f] { f.backend().MatMul(a, b, transpose, out); }, {out}};
          },
          true);
    }
  }
}

}  // namespace

std::vector<OpCase> ConformanceCases(DType act) {
  Table table(act);
  AddLinears(table);
  AddNorms(table);
  AddFusedRows(table);
  AddElementwise(table);
  AddRope(table);
  AddTables(table);
  AddRopeKvWrites(table);
  AddAttentions(table);
  AddCalibration(table);
  return table.Take();
}

double NormalizedError(const std::vector<float>& found, const std::vector<float>& expected) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (found.size() != expected.size()) return kInfinite;
  double error = 0;
  double power = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double difference = static_cast<double>(found[i]) - static_cast<double>(expected[i]);
    error += difference * difference;
    power += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  if (!std::isfinite(error) || !std::isfinite(power)) return kInfinite;
  return error == 0 ? 0 : error / power;
}

double RunConformance(Backend& tested, Backend& ref, const OpCase& op_case) {
  const OpRun expected = op_case.make(ref);
  expected.call();
  const OpRun found = op_case.make(tested);
  found.call();
  return NormalizedError(found.result(), expected.result());
}

}  // namespace awq
