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

struct SampleCase {
  std::string name;
  int64_t columns;
  std::vector<RowOfCase> rows;
  int64_t seen = 0;
  float spread = 4;  // of logits
  int64_t repeats = 12;
  bool ties = false;  // logits from a few values only
};

void AddSample(Table& table, const SampleCase& c) {
  const auto kinds = static_cast<int64_t>(c.rows.size());
  const int64_t rows = c.repeats * kinds;
  table.Add(
      Cat("sample/", c.name, "_", rows, "x", c.columns), 0,
      [=](Fixture& f) {
        const Tensor logits = MakeTensor(DType::kF32, {rows, c.columns + 5});
        for (float& x : logits.Span<float>()) {
          x = c.ties ? static_cast<float>(f.random().Below(4)) : c.spread * f.random().Normal();
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
        return Setup{[=, &f] { f.backend().Sample(args, on_device, ids); }, {ids, on_device}};
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
  AddSample(table, {.name = "ties", .columns = 5000, .rows = kinds, .seen = 6, .ties = true});
  AddSample(table, {.name = "flat", .columns = 9001, .rows = kinds, .spread = 1e-4f});
  AddSample(table, {.name = "steep", .columns = 3000, .rows = kinds, .spread = 500});
  AddSample(table, {.name = "large",
                    .columns = 151936,
                    .rows = {{.top_k = 40, .top_p = 0.95f}, {.temperature = 2, .top_p = 0.97f}, {}},
                    .seen = 300,
                    .repeats = 3});
  AddStrange(table);
}

}  // namespace awq::cases
