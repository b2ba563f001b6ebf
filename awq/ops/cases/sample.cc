// Drawing of tokens; all cases are exact.
#include "awq/ops/cases/table.h"

namespace awq::cases {
namespace {

struct RowOfCase {
  float temperature = 1;
  int32_t top_k = 0;
  float top_p = 1;
  float most_distance = std::numeric_limits<float>::infinity();
  float repetition = 1;
};

enum class Logits {
  kNormal,
  kFew,     // values
  kEqual,   // all
  kZeros,   // of both signs
  kOneFar,  // above all others
  kBarred,  // nine of ten are -inf
  kTiny,    // differences below the smallest normal number
  kHuge,    // differences that overflow
};

struct SampleCase {
  std::string name;
  int64_t columns;
  std::vector<RowOfCase> rows;
  int64_t seen = 0;
  float spread = 4;  // of logits
  int64_t repeats = 12;
  Logits logits = Logits::kNormal;
};

float MakeLogit(Random& random, const SampleCase& c, int64_t column) {
  switch (c.logits) {
    case Logits::kNormal:
      break;
    case Logits::kFew:
      return static_cast<float>(random.Below(4));
    case Logits::kEqual:
      return 2.5f;
    case Logits::kZeros:
      return random.Below(2) == 0 ? 0.0f : -0.0f;
    case Logits::kOneFar:
      return random.Normal() + (column == c.columns * 2 / 3 ? 40.0f : 0.0f);
    case Logits::kBarred:
      if (random.Below(10) > 0) return -std::numeric_limits<float>::infinity();
      break;
    case Logits::kTiny:
      return static_cast<float>(random.Below(100)) * 1e-43f;
    case Logits::kHuge:
      return (2 * random.Uniform() - 1) * 3e38f;
  }
  return c.spread * random.Normal();
}

void AddSample(Table& table, const SampleCase& c) {
  const auto kinds = static_cast<int64_t>(c.rows.size());
  const int64_t rows = c.repeats * kinds;
  table.Add(
      Cat("sample/", c.name, "_", rows, "x", c.columns), 0,
      [=](Fixture& f) {
        const Tensor logits = MakeTensor(DType::kF32, {rows, c.columns + 5});
        for (int64_t i = 0; i < rows * (c.columns + 5); ++i) {
          logits.As<float>()[i] = MakeLogit(f.random(), c, i % (c.columns + 5));
        }
        const auto floats = [&](auto member) {
          const Tensor host = MakeTensor(DType::kF32, {rows});
          for (int64_t r = 0; r < rows; ++r) {
            host.As<float>()[r] = c.rows[static_cast<size_t>(r % kinds)].*member;
          }
          return f.Upload(host);
        };
        std::vector<int32_t> top_k;
        std::vector<int32_t> random;
        for (int64_t r = 0; r < rows; ++r) {
          top_k.push_back(c.rows[static_cast<size_t>(r % kinds)].top_k);
          const uint64_t bits = f.random().Bits();
          random.push_back(static_cast<int32_t>(bits));
          random.push_back(static_cast<int32_t>(bits >> 32));
        }
        SampleArgs args{.temperature = floats(&RowOfCase::temperature),
                        .top_k = f.Ints(top_k, {rows}),
                        .top_p = floats(&RowOfCase::top_p),
                        .most_distance = floats(&RowOfCase::most_distance),
                        .repetition = floats(&RowOfCase::repetition),
                        .random = f.Ints(random, {rows, 2}),
                        .seen = {},
                        .subtract = {}};
        if (c.seen > 0) {
          // Every other one of the most likely tokens, some outside, some none.
          std::vector<int32_t> seen;
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t i = 0; i < c.seen; ++i) {
              seen.push_back(i % 7 == 5 ? -1
                                        : static_cast<int32_t>(i * c.columns / c.seen + i % 2));
            }
            seen.back() = static_cast<int32_t>(c.columns);
          }
          args.seen = f.Ints(seen, {rows, c.seen});
          args.subtract = f.Floats(DType::kF32, {rows, c.seen});
        }
        const TensorView on_device = f.Upload(logits).Columns(0, c.columns);
        const TensorView ids = f.Ints(std::vector<int32_t>(static_cast<size_t>(rows), -9), {rows});
        // Errors of infinite numbers are not counted.
        std::vector<TensorView> results{ids};
        if (c.logits != Logits::kBarred) results.push_back(on_device);
        return Setup{[=, &f] { f.backend().Sample(args, on_device, ids); }, results};
      },
      true);
}

// Rows that ArgMax answers with -1, and some with barred tokens.
void AddStrange(Table& table) {
  table.Add(
      "sample/strange_6x3001", 0,
      [](Fixture& f) {
        constexpr float kInfinity = std::numeric_limits<float>::infinity();
        const Tensor host = MakeTensor(DType::kF32, {6, 3001});
        f.random().Fill(host);
        float* row = host.As<float>();
        row[2999] = std::numeric_limits<float>::quiet_NaN();  // -1
        row[3001 + 1] = kInfinity;                            // -1
        std::fill_n(row + 2 * 3001, 3001, -kInfinity);        // -1
        std::fill_n(row + 3 * 3001, 3000, -kInfinity);        // the last
        std::fill_n(row + 4 * 3001, 1500, -kInfinity);        // not these
        std::fill_n(row + 5 * 3001, 3001, -1e38f);            // any of them
        const auto all = [&](float value) {
          const Tensor t = MakeTensor(DType::kF32, {6});
          std::fill_n(t.As<float>(), 6, value);
          return f.Upload(t);
        };
        std::vector<int32_t> random;
        for (int i = 0; i < 12; ++i) random.push_back(static_cast<int32_t>(f.random().Bits()));
        const SampleArgs args{.temperature = all(1.0f),
                              .top_k = f.Ints({0, 0, 0, 5, 2000, 3000}, {6}),
                              .top_p = all(0.9f),
                              .most_distance = all(kInfinity),
                              .repetition = all(1.0f),
                              .random = f.Ints(random, {6, 2}),
                              .seen = {},
                              .subtract = {}};
        const TensorView logits = f.Upload(host);
        const TensorView ids = f.Ints({9, 9, 9, 9, 9, 9}, {6});
        return Setup{[=, &f] { f.backend().Sample(args, logits, ids); }, {ids}};
      },
      true);
}

}  // namespace

void AddSamples(Table& table) {
  if (table.act() != DType::kF32) return;  // logits are F32 always
  const std::vector<RowOfCase> kinds{
      {.temperature = 0},
      {.temperature = 1e-30f},
      {.temperature = 0.7f},
      {.temperature = 1000},
      {.top_k = 1},
      {.top_k = 50},
      {.top_k = 1 << 30},
      {.top_p = 0.9f},
      {.top_p = 1e-6f},
      {.temperature = 5, .top_p = 0.99f},
      {.top_k = 300, .top_p = 0.8f},
      {.top_k = 20, .top_p = 0.999f, .most_distance = 2.5f},
      {.most_distance = 0.5f},
      {.temperature = 1.5f, .most_distance = 3, .repetition = 1.3f},
  };
  AddSample(table, {.name = "small", .columns = 7, .rows = kinds});
  AddSample(table, {.name = "odd", .columns = 5003, .rows = kinds, .seen = 41});
  AddSample(table,
            {.name = "ties", .columns = 5000, .rows = kinds, .seen = 6, .logits = Logits::kFew});
  AddSample(table, {.name = "flat", .columns = 9001, .rows = kinds, .spread = 1e-4f});
  AddSample(table, {.name = "steep", .columns = 3000, .rows = kinds, .spread = 500});
  AddSample(table, {.name = "large",
                    .columns = 151936,
                    .rows = {{.top_k = 40, .top_p = 0.95f}, {.temperature = 2, .top_p = 0.97f}, {}},
                    .seen = 300,
                    .repeats = 3});
  const std::vector<RowOfCase> limits{
      {.top_k = 128},
      {.top_k = 256},
      {.top_k = 257},
      {.top_k = 3000},
      {.top_k = 40, .top_p = 0.95f},
      {.top_k = 2000, .top_p = 0.9f},
      {.top_k = 100, .top_p = 0.5f, .most_distance = 0},
      {.temperature = 0.1f, .top_p = 0.5f},
      {.temperature = 3, .top_p = 0.999f},
      {.temperature = 100, .top_p = 0.3f},
      {.top_p = 0.99999994f},
      {.top_p = 0.95f, .most_distance = 5},
      {.temperature = 0.8f, .top_k = 0, .most_distance = 3},
  };
  const auto add = [&](std::string name, int64_t columns, Logits logits, int64_t repeats = 2) {
    AddSample(table, {.name = std::move(name),
                      .columns = columns,
                      .rows = limits,
                      .repeats = repeats,
                      .logits = logits});
  };
  for (const int64_t columns : {129, 4096, 4097, 8191, 16387, 32003}) {
    add("limits", columns, Logits::kNormal);
  }
  for (const int64_t columns : {3001, 9001}) {
    add("few", columns, Logits::kFew);
    add("equal", columns, Logits::kEqual);
    add("zeros", columns, Logits::kZeros);
    add("one_far", columns, Logits::kOneFar);
    add("barred", columns, Logits::kBarred);
    add("tiny", columns, Logits::kTiny);
    add("huge", columns, Logits::kHuge);
  }
  add("limits", 128257, Logits::kNormal, 1);
  add("equal", 128256, Logits::kEqual, 1);
  // More than a cluster's shared memory holds.
  AddSample(table, {.name = "largest",
                    .columns = 430001,
                    .rows = {{.top_k = 40, .top_p = 0.95f}, {.top_p = 0.97f}, {.top_k = 5000}, {}},
                    .seen = 300,
                    .repeats = 1});
  AddSample(table, {.name = "largest_few",
                    .columns = 430001,
                    .rows = {{.top_k = 40, .top_p = 0.95f}, {.top_p = 0.97f}},
                    .repeats = 1,
                    .logits = Logits::kFew});
  AddStrange(table);
}

}  // namespace awq::cases
