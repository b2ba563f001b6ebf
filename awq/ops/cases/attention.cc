// Attention and what it reads and writes of the cache.
#include "awq/ops/cases/inputs.h"

namespace awq::cases {

AttentionInputs MakeAttention(Fixture& f, DType act, const AttentionCase& c) {
  std::vector<int32_t> starts{0}, lengths, positions;
  int64_t blocks = 1, pages = 1, max_query = 0, max_kv = c.max_kv;
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
  const DType cached = c.e4m3 ? DType::kF8E4M3 : act;
  in.cache = {f.Floats(cached, shape, 1.5f), f.Floats(cached, shape)};
  in.q = f.Floats(act, {t, c.heads, c.d}, 1.5f);
  in.k = f.Floats(act, {t, c.kv_heads, c.d}, 1.5f);
  in.v = f.Floats(act, {t, c.kv_heads, c.d});
  in.y = f.Floats(act, {t, c.heads, c.d});
  return in;
}

AttentionArgs MakeAttentionArgs(Fixture& f, const AttentionCase& c) {
  const Tensor slopes = MakeTensor(DType::kF32, {c.heads});
  for (int64_t h = 0; h < c.heads; ++h) {
    slopes.As<float>()[h] =
        std::exp2(-8.0f * static_cast<float>(h + 1) / static_cast<float>(c.heads));
  }
  return {.scale = 1.0f / std::sqrt(static_cast<float>(c.d)),
          .window = c.window,
          .softcap = c.softcap,
          .alibi_slopes = c.alibi ? f.Upload(slopes) : TensorView()};
}

namespace {

void AddAttention(Table& table, const AttentionCase& c) {
  std::string name =
      Cat("h", c.heads, "_g", c.kv_heads, "_d", c.d, "_w", c.window, "_p", c.page_size);
  if (c.sequences.size() > 8) {
    name += Cat("_", c.sequences.size(), "_sequences");
  } else {
    for (const Sequence& s : c.sequences) name += Cat("_", s.cached, "+", s.fresh);
  }
  if (c.softcap > 0) name += "_softcap";
  if (c.alibi) name += "_alibi";
  if (c.e4m3) name += "_e4m3";
  if (c.max_kv > 0) name += Cat("_max", c.max_kv);
  const DType act = table.act();
  table.Add("attention/" + name, 1e-10, [=](Fixture& f) {
    const AttentionInputs in = MakeAttention(f, act, c);
    const AttentionArgs args = MakeAttentionArgs(f, c);
    return Setup{[=, &f] {
                   f.backend().KvWrite(in.batch, in.k, in.v, in.cache);
                   f.backend().Attention(args, in.batch, in.q, in.cache, in.y);
                 },
                 {in.y, in.cache.keys, in.cache.values}};
  });
}

// One token each: a sequence of `longest` keys, every eighth one of a tenth, the others of a few.
std::vector<Sequence> Uneven(int64_t count, int64_t longest) {
  std::vector<Sequence> out;
  for (int64_t b = 0; b < count; ++b) {
    out.push_back({b == count / 2 ? longest - 1 : b % 8 == 0 ? longest / 10 : b % 7, 1});
  }
  return out;
}

void AddMlaAttention(Table& table, const std::vector<Sequence>& sequences, int64_t heads,
                     int64_t rank, int64_t rope, bool e4m3 = false) {
  std::string name = Cat("mla_attention/h", heads, "_r", rank, "+", rope);
  for (const Sequence& s : sequences) name += Cat("_", s.cached, "+", s.fresh);
  if (e4m3) name += "_e4m3";
  const DType act = table.act();
  table.Add(name, 1e-10, [=](Fixture& f) {
    const AttentionInputs in = MakeAttention(
        f, act,
        {.sequences = sequences, .heads = heads, .kv_heads = 1, .d = rank + rope, .e4m3 = e4m3});
    const PagedKv cache{in.cache.keys, {}};
    const int64_t t = in.batch.num_tokens();
    const TensorView q = f.Floats(act, {t, heads, rank});
    TensorView q_rope = f.Strided(act, t, heads * rope, 24);
    q_rope.shape = Shape{t, heads, rope};
    q_rope.strides = Shape{heads * rope + 24, rope, 1};
    const TensorView y = f.Floats(act, {t, heads, rank});
    AttentionArgs args;
    args.scale = 1.0f / std::sqrt(static_cast<float>(rank + rope));
    return Setup{[=, &f] {
                   f.backend().KvWrite(in.batch, in.k, {}, cache);
                   f.backend().MlaAttention(args, in.batch, q, q_rope, cache, y);
                 },
                 {y}};
  });
}

}  // namespace

void AddMlaAttentions(Table& table) {
  AddMlaAttention(table, {{0, 19}}, 4, 64, 16);
  AddMlaAttention(table, {{150, 1}, {0, 5}, {33, 1}}, 16, 512, 64);
  AddMlaAttention(table, {{0, 70}, {20, 30}}, 6, 32, 8);
  AddMlaAttention(table, {{300, 1}}, 32, 512, 64);
  AddMlaAttention(table, {{150, 1}, {0, 25}}, 16, 512, 64, true);
  AddMlaAttention(table, {{700, 1}, {20, 1}}, 20, 512, 64);
  AddMlaAttention(table, {{100, 40}, {0, 9}, {300, 2}}, 12, 512, 64);
  AddMlaAttention(table, {{700, 1}, {20, 1}}, 16, 512, 64, true);
  // Many parts of keys, whose sums are added up in several groups.
  AddMlaAttention(table, {{2200, 1}}, 16, 512, 64);
  AddMlaAttention(table, {{5000, 1}}, 16, 512, 64, true);
  AddMlaAttention(table, {{4800, 1}}, 20, 512, 64);
  AddMlaAttention(table, {{50, 1}, {170, 1}, {9, 1}}, 128, 512, 64);
}

void AddRopeKvWrites(Table& table) {
  const DType act = table.act();
  struct Rotation {
    int64_t d, rotary;
    bool interleaved;
    bool e4m3 = false;
    bool normed = false;
    bool many = false;  // tokens, of which a device may take several heads at a time
    int64_t heads = 6, kv_heads = 2;
  };
  // A rotated key whose rounding to E4M3 is a tie but for the last bit of an f32 may be one step,
  // an eighth, off.
  constexpr double kOneStep = 4e-5;
  for (const Rotation& r :
       {Rotation{64, 64, false}, Rotation{128, 128, true}, Rotation{80, 32, false},
        Rotation{24, 6, true}, Rotation{128, 128, false, true}, Rotation{24, 6, true, true},
        Rotation{128, 128, false, false, true}, Rotation{64, 64, false, false, true},
        Rotation{64, 16, true, false, true}, Rotation{128, 32, false, true, true},
        Rotation{80, 80, false, false, true}, Rotation{24, 6, true, false, true},
        Rotation{128, 128, false, false, false, true}, Rotation{64, 16, true, true, false, true},
        Rotation{96, 96, false, false, false, true}, Rotation{256, 64, false, false, false, true},
        Rotation{128, 128, false, false, true, true}, Rotation{64, 64, true, false, true, true},
        Rotation{256, 256, false, false, true}, Rotation{256, 64, true, true, true},
        Rotation{256, 256, false, false, true, true, 7, 1},
        Rotation{256, 96, true, false, true, true}, Rotation{256, 256, true, true, false, true},
        Rotation{128, 64, true, true, true, true, 5, 1}, Rotation{96, 96, true, true, false, true},
        Rotation{80, 80, false, false, false, true, 3, 3},
        Rotation{80, 32, false, true, false, true, 7, 1},
        Rotation{80, 24, false, false, false, true}, Rotation{112, 112, false, false, false, true},
        Rotation{192, 64, true, false, false, true, 5, 1},
        Rotation{96, 96, false, false, true, true},
        // More heads than a thread block of a device may hold.
        Rotation{512, 512, false, false, false, true, 13, 3},
        Rotation{64, 64, false, false, true, true, 125, 3}}) {
    const std::string name =
        Cat("rope_kv_write/d", r.d, "_r", r.rotary, r.interleaved ? "_interleaved" : "",
            r.e4m3 ? "_e4m3" : "", r.normed ? "_normed" : "", r.many ? "_many" : "",
            r.heads == 6 ? "" : Cat("_h", r.heads, "_g", r.kv_heads));
    // A norm's output is rounded to the type of x, or not, before it is rotated.
    table.Add(
        name,
        r.e4m3     ? kOneStep
        : r.normed ? kRounded
                   : 1e-10,
        [=](Fixture& f) {
          const int64_t longest = r.many ? 120 : 9;
          const AttentionInputs in = MakeAttention(f, act,
                                                   {.sequences = {{0, longest}, {70, 1}, {33, 7}},
                                                    .heads = r.heads,
                                                    .kv_heads = r.kv_heads,
                                                    .d = r.d,
                                                    .e4m3 = r.e4m3});
          const Tensor frequencies = MakeTensor(DType::kF32, {r.rotary / 2});
          for (int64_t i = 0; i < r.rotary / 2; ++i) {
            frequencies.As<float>()[i] = 1.0f / static_cast<float>(1 + i * i);
          }
          const RopeArgs args{.inverse_frequencies = f.Upload(frequencies),
                              .interleaved = r.interleaved,
                              .magnitude = 1.25f};
          HeadNorms norms;
          if (r.normed) {
            norms = {.q = f.Floats(DType::kF32, {r.d}, 0.2f, 1.0f),
                     .k = f.Floats(DType::kF32, {r.d}, 0.2f, 1.0f),
                     .epsilon = 1e-3f};
          }
          return Setup{[=, &f] {
                         f.backend().RopeKvWrite(norms, args, in.batch, in.q, in.k, in.v, in.cache);
                       },
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
  // Prefill, decode and chunked prefill of both kernels that a device may have.
  for (const auto& [softcap, alibi] : {std::pair{2.0f, false}, {0.0f, true}, {5.0f, true}}) {
    const std::vector<Sequence> steps{{0, 40}, {150, 1}, {33, 17}, {0, 1}, {300, 1}};
    AddAttention(table, {steps, 6, 2, 64, 0, 16, softcap, alibi});
    AddAttention(table, {steps, 5, 1, 24, 30, 16, softcap, alibi});
    AddAttention(table, {{{0, 9}, {70, 1}}, 12, 12, 128, 0, 16, softcap, alibi});
    AddAttention(table, {{{3, 20}, {70, 1}}, 8, 1, 256, 0, 16, softcap, alibi});
  }
  for (int64_t d : {24, 64, 80, 96, 112, 128, 192, 256}) {
    const std::vector<Sequence> steps{{0, 40}, {150, 1}, {33, 17}, {0, 1}, {300, 1}};
    AddAttention(table, {.sequences = steps, .heads = 6, .kv_heads = 2, .d = d, .e4m3 = true});
  }
  AddAttention(table, {{{129, 140}, {700, 1}}, 2, 1, 128, 90, 16, 3.0f, true, true});
  AddAttention(table, {{{0, 300}}, 4, 2, 64});
  AddAttention(table, {{{129, 140}}, 2, 1, 128, 90});
  AddAttention(table, {{{260, 1}, {3, 9}}, 4, 2, 64, 0, 32});
  AddAttention(table, {{{10, 3}, {0, 12}}, 4, 1, 64, 5, 4});
  // Lengths that differ much, which a device may share out: with a prompt among them, with several
  // tiles of keys a place, of more sequences than places.
  const std::vector<Sequence> uneven{{1500, 1}, {0, 70}, {40, 1}, {0, 1}, {1100, 2}, {300, 1}};
  for (bool e4m3 : {false, true}) {
    AddAttention(table, {.sequences = uneven, .heads = 8, .kv_heads = 2, .d = 128, .e4m3 = e4m3});
    AddAttention(table, {Uneven(36, 3000), 32, 8, 64, 0, 16, 0.0f, false, e4m3});
    // As many as fill a large device, with all of their keys or a part of them a place.
    AddAttention(table, {Uneven(64, 150), 32, 8, 128, 0, 16, 0.0f, false, e4m3});
    AddAttention(table, {Uneven(32, 150), e4m3 ? 96 : 32, 8, 64, 0, 16, 0.0f, false, e4m3, 4096});
  }
  AddAttention(table, {Uneven(80, 1500), 96, 8, 80, 700, 16, 3.0f, true, true});
  AddAttention(table, {Uneven(130, 60), 48, 4, 64});
  AddAttention(table, {{{0, 420}, {300, 90}}, 4, 2, 64, 0, 16, 0.0f, false, true});
  AddAttention(table, {{{0, 420}}, 2, 1, 128, 0, 16, 0.0f, false, true});
  // More rows of prompts than a large device has places for, those of most keys last.
  std::vector<Sequence> prompts(9, {0, 60});
  prompts.push_back({5, 1});
  prompts.push_back({400, 60});
  for (bool e4m3 : {false, true}) {
    AddAttention(table, {prompts, 32, 8, 64, 0, 16, 0.0f, false, e4m3});
    AddAttention(table, {prompts, 32, 8, 80, 200, 16, 3.0f, true, e4m3});
  }
  // Scores that grow with every key, more than one of a tile.
  for (int64_t d : {64, 128})
    AddAttention(table, {{{0, 420}, {300, 90}}, 4, 2, d, 0, 16, 0.0f, true});
  AddAttention(table, {{{0, 420}}, 4, 2, 128, 0, 16, 0.0f, true, true});
  AddAttention(table, {uneven, 4, 4, 64, 900, 16, 0.0f, true});
  AddAttention(table, {{{2700, 1}, {0, 1}, {300, 1}, {1000, 2}, {0, 70}}, 4, 4, 64, 2100});
  AddAttention(table, {uneven, 4, 1, 256});
  AddAttention(table, {.sequences = Uneven(70, 1100), .heads = 32, .kv_heads = 8, .d = 64});
  // As many even ones as leave the last round of a large device to a few, of many keys.
  AddAttention(table, {Uneven(64, 150), 32, 8, 64, 0, 16, 0.0f, false, false, 4096});
  // Places with the end of one, several whole ones, and the beginning of another.
  AddAttention(table, {.sequences = Uneven(200, 1500), .heads = 16, .kv_heads = 8, .d = 64});
}

}  // namespace awq::cases
