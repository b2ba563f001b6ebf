// Linears of real layer shapes on the CPU backend: 4-bit beside dense, as time, GB/s, GFLOP/s and
// shares of what this machine reaches. Then attention, norms and the products of calibration.
//   awq_bench --benchmark_filter=linear/768x2048 [--threads=2]
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "awq/backend/backend_bench.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace awq::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

float SumFloats(const float* p, size_t n) {
  const hn::ScalableTag<float> d;
  auto a = hn::Zero(d), b = a, c = a, e = a;
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i + 4 * lanes <= n; i += 4 * lanes) {
    a = hn::Add(a, hn::LoadU(d, p + i));
    b = hn::Add(b, hn::LoadU(d, p + i + lanes));
    c = hn::Add(c, hn::LoadU(d, p + i + 2 * lanes));
    e = hn::Add(e, hn::LoadU(d, p + i + 3 * lanes));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
}

// Runs `rounds` of ten independent multiply-adds; returns floating-point operations.
double MultiplyAdds(size_t rounds, float* out) {
  const hn::ScalableTag<float> d;
  const auto x = hn::Set(d, 0.999f);
  // Different starts keep the compiler from merging the chains.
  auto a = hn::Set(d, *out), b = hn::Add(a, x), c = hn::Add(b, x), e = hn::Add(c, x);
  auto f = hn::Add(e, x), g = hn::Add(f, x), h = hn::Add(g, x), i = hn::Add(h, x);
  auto j = hn::Add(i, x), k = hn::Add(j, x);
  for (size_t r = 0; r < rounds; ++r) {
    a = hn::MulAdd(a, x, x), b = hn::MulAdd(b, x, x), c = hn::MulAdd(c, x, x);
    e = hn::MulAdd(e, x, x), f = hn::MulAdd(f, x, x), g = hn::MulAdd(g, x, x);
    h = hn::MulAdd(h, x, x), i = hn::MulAdd(i, x, x), j = hn::MulAdd(j, x, x);
    k = hn::MulAdd(k, x, x);
  }
  a = hn::Add(hn::Add(hn::Add(a, b), hn::Add(c, e)), hn::Add(hn::Add(f, g), hn::Add(h, i)));
  *out = hn::GetLane(hn::SumOfLanes(d, hn::Add(a, hn::Add(j, k))));
  return static_cast<double>(rounds) * 20.0 * static_cast<double>(hn::Lanes(d));
}

}  // namespace awq::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "awq/backend/make_backend.h"
#include "awq/base/threads.h"

namespace awq {
namespace {

HWY_EXPORT(SumFloats);
HWY_EXPORT(MultiplyAdds);

using Clock = std::chrono::steady_clock;
double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

// What the machine reaches with `threads` threads, best of several tries.
struct Peaks {
  double bytes_per_second = 0;
  double flops_per_second = 0;
};

Peaks MeasurePeaks(ThreadPool& pool) {
  constexpr size_t kFloats = size_t{64} << 20;
  const Tensor memory = MakeTensor(DType::kF32, {static_cast<int64_t>(kFloats)});
  Peaks peaks;
  for (int i = 0; i < 6; ++i) {
    auto start = Clock::now();
    pool.For(64, 1, [&](int64_t b, int64_t e) {
      const size_t piece = kFloats / 64;
      benchmark::DoNotOptimize(
          HWY_DYNAMIC_DISPATCH(SumFloats)(memory.As<const float>() + static_cast<size_t>(b) * piece,
                                          static_cast<size_t>(e - b) * piece));
    });
    peaks.bytes_per_second = std::max(peaks.bytes_per_second, kFloats * 4.0 / Seconds(start));
    std::vector<double> flops(static_cast<size_t>(pool.size()));
    start = Clock::now();
    pool.For(pool.size(), 1, [&](int64_t b, int64_t e) {
      for (int64_t t = b; t < e; ++t) {
        float value = 1.0f;
        flops[static_cast<size_t>(t)] = HWY_DYNAMIC_DISPATCH(MultiplyAdds)(2000000, &value);
        benchmark::DoNotOptimize(value);
      }
    });
    const double seconds = Seconds(start);
    double total = 0;
    for (double f : flops) total += f;
    peaks.flops_per_second = std::max(peaks.flops_per_second, total / seconds);
  }
  return peaks;
}

struct Context {
  std::unique_ptr<Backend> backend;
  Peaks peaks;
};

Tensor Floats(Backend& backend, DType type, const Shape& shape) {
  Tensor t = backend.Alloc(type, shape);
  for (int64_t i = 0; i < shape.NumElements(); ++i) {
    StoreFloat(t.view(), i, static_cast<float>(i * 7919 % 2003) * 1e-3f - 1.0f);
  }
  return t;
}

// Counts what `bytes` read and `flops` done an iteration come to; made before the timed loop.
class Meter {
 public:
  Meter(benchmark::State& state, const Context& context, double bytes, double flops)
      : state_(state), peaks_(context.peaks), bytes_(bytes), flops_(flops), start_(Clock::now()) {}
  ~Meter() {
    const double rate = static_cast<double>(state_.iterations()) / Seconds(start_);
    if (bytes_ > 0) state_.counters["GB/s"] = bytes_ * rate * 1e-9;
    if (bytes_ > 0) state_.counters["%bw"] = 100 * bytes_ * rate / peaks_.bytes_per_second;
    if (flops_ > 0) state_.counters["GFLOP/s"] = flops_ * rate * 1e-9;
    if (flops_ > 0) state_.counters["%fma"] = 100 * flops_ * rate / peaks_.flops_per_second;
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

 private:
  benchmark::State& state_;
  Peaks peaks_;
  double bytes_;
  double flops_;
  Clock::time_point start_;
};

enum class WeightKind { kQ4, kF32, kBF16 };

std::unique_ptr<PackedWeight> Prepare(Backend& backend, WeightKind kind, int64_t n, int64_t k) {
  if (kind == WeightKind::kQ4) {
    QuantizedWeight w = MakeQuantizedWeight({.bits = 4, .group = 128}, n, k, DType::kF16);
    std::memset(w.codes.view().data, 0x5a, static_cast<size_t>(w.codes.view().NumBytes()));
    std::memset(w.zeros.view().data, 7, static_cast<size_t>(w.zeros.view().NumBytes()));
    for (uint16_t& s : w.scales.Span<uint16_t>()) s = FloatToF16(0.01f);
    return backend.PrepareQuantized(w);
  }
  const DType type = kind == WeightKind::kF32 ? DType::kF32 : DType::kBF16;
  const Tensor w = MakeTensor(type, {n, k});
  return backend.PrepareDense(w.view(), type);
}

// Weights rotate so that no cache holds them, as in a model.
void BenchLinear(benchmark::State& state, Context& context, WeightKind kind, int64_t n, int64_t k) {
  Backend& backend = *context.backend;
  const int64_t m = state.range(0);
  std::vector<std::unique_ptr<PackedWeight>> weights;
  int64_t bytes = 0;
  while (bytes < (int64_t{96} << 20) && (m <= 64 || weights.empty())) {
    weights.push_back(Prepare(backend, kind, n, k));
    bytes += weights.back()->NumBytes();
  }
  const Tensor x = Floats(backend, DType::kF32, {m, k});
  const Tensor y = backend.Alloc(DType::kF32, {m, n});
  size_t i = 0;
  const Meter meter(state, context, static_cast<double>(weights[0]->NumBytes()),
                    2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k));
  for (auto _ : state) {
    backend.Linear(*weights[i++ % weights.size()], x.view(), {}, y.view());
  }
}

// One sequence of `cached` + `fresh` tokens; 12 query heads, 4 kv heads, d 64.
void BenchAttention(benchmark::State& state, Context& context) {
  Backend& backend = *context.backend;
  constexpr int64_t kHeads = 12, kKvHeads = 4, kD = 64, kPage = 16;
  const auto cached = static_cast<int32_t>(state.range(0));
  const auto fresh = static_cast<int32_t>(state.range(1));
  const int64_t pages = (cached + fresh + kPage - 1) / kPage;
  std::vector<int32_t> table(static_cast<size_t>(pages));
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int32_t>(table.size() - 1 - i);
  int32_t starts[] = {0, fresh};
  int32_t length = cached + fresh;
  std::vector<int32_t> tokens(static_cast<size_t>(fresh));
  Batch batch{.tokens = TensorView(tokens.data(), DType::kI32, {fresh}),
              .positions = {},
              .seq_start = TensorView(starts, DType::kI32, {2}),
              .kv_len = TensorView(&length, DType::kI32, {1}),
              .block_table = TensorView(table.data(), DType::kI32, {1, pages}),
              .host_seq_start = starts,
              .host_kv_len = {&length, 1},
              .max_query = fresh,
              .max_kv = length};
  const Tensor keys = Floats(backend, DType::kF32, {pages, kKvHeads, kPage, kD});
  const Tensor values = Floats(backend, DType::kF32, {pages, kKvHeads, kPage, kD});
  const PagedKv cache{keys.view(), values.view()};
  const Tensor q = Floats(backend, DType::kF32, {fresh, kHeads, kD});
  const Tensor y = backend.Alloc(DType::kF32, {fresh, kHeads, kD});
  const double pairs = static_cast<double>(fresh) * (cached + 0.5 * (fresh + 1));
  const Meter meter(state, context, static_cast<double>(length) * 2 * kKvHeads * kD * 4,
                    4 * pairs * kHeads * kD);
  for (auto _ : state) backend.Attention({.scale = 0.125f}, batch, q.view(), cache, y.view());
}

void BenchGram(benchmark::State& state, Context& context) {
  Backend& backend = *context.backend;
  const int64_t t = state.range(0), k = state.range(1);
  const Tensor x = Floats(backend, DType::kF32, {t, k});
  const Tensor gram = MakeTensor(DType::kF32, {k, k});
  // Half of 2·t·k²: the matrix is symmetric.
  const Meter meter(state, context, 0, static_cast<double>(t * k) * static_cast<double>(k));
  for (auto _ : state) backend.Gram(x.view(), gram.view());
}

void BenchMatMul(benchmark::State& state, Context& context, bool transpose) {
  Backend& backend = *context.backend;
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const Tensor a = Floats(backend, DType::kF32, {m, k});
  const Tensor b =
      transpose ? Floats(backend, DType::kF32, {n, k}) : Floats(backend, DType::kF32, {k, n});
  const Tensor c = backend.Alloc(DType::kF32, {m, n});
  const Meter meter(state, context, 0, 2.0 * static_cast<double>(m * n) * static_cast<double>(k));
  for (auto _ : state) backend.MatMul(a.view(), b.view(), transpose, c.view());
}

void BenchRows(benchmark::State& state, Context& context, const char* op) {
  Backend& backend = *context.backend;
  const int64_t t = state.range(0), n = state.range(1);
  const Tensor x = Floats(backend, DType::kF32, {t, n});
  const Tensor up = Floats(backend, DType::kF32, {t, n});
  const Tensor y = backend.Alloc(DType::kF32, {t, n});
  const Tensor weight = Floats(backend, DType::kF32, {n});
  const Tensor frequencies = Floats(backend, DType::kF32, {32});
  const Tensor positions = MakeTensor(DType::kI32, {t});
  const RopeArgs rope{.inverse_frequencies = frequencies.view()};
  const Meter meter(state, context, static_cast<double>(t * n) * 8, 0);
  for (auto _ : state) {
    if (op[0] == 'n') backend.Norm({}, x.view(), weight.view(), {}, y.view());
    if (op[0] == 's') backend.Activate(Activation::kSilu, x.view(), up.view(), y.view());
    if (op[0] == 'r') backend.Rope(rope, positions.view(), x.view().Reshape({t, n / 64, 64}));
  }
}

void Register(Context& context) {
  const std::pair<int64_t, int64_t> shapes[] = {{768, 768},  {256, 768},   {2048, 768},
                                                {768, 2048}, {2048, 2048}, {5632, 2048}};
  for (const auto& [n, k] : shapes) {
    for (const auto& [kind, name] : {std::pair{WeightKind::kQ4, "q4"},
                                     {WeightKind::kBF16, "bf16"},
                                     {WeightKind::kF32, "f32"}}) {
      auto* b =
          benchmark::RegisterBenchmark(Cat("linear/", n, "x", k, "/", name, "/m").c_str(),
                                       [&context, kind = kind, n = n, k = k](benchmark::State& s) {
                                         BenchLinear(s, context, kind, n, k);
                                       });
      for (int64_t m : {1, 2, 4, 8, 16, 64, 512, 2048}) b->Arg(m);
      b->UseRealTime();
    }
  }
  benchmark::RegisterBenchmark("attention",
                               [&](benchmark::State& s) { BenchAttention(s, context); })
      ->Args({127, 1})
      ->Args({1023, 1})
      ->Args({4095, 1})
      ->Args({0, 512})
      ->Args({0, 1024})
      ->Args({1024, 16})
      ->UseRealTime();
  benchmark::RegisterBenchmark("gram", [&](benchmark::State& s) { BenchGram(s, context); })
      ->Args({2048, 768})
      ->Args({2048, 2048})
      ->UseRealTime();
  for (bool transpose : {false, true}) {
    benchmark::RegisterBenchmark(
        transpose ? "matmul_t" : "matmul",
        [&context, transpose](auto& s) { BenchMatMul(s, context, transpose); })
        ->Args({768, 768, 768})
        ->Args({2048, 2048, 2048})
        ->UseRealTime();
  }
  for (const char* op : {"norm", "silu", "rope"}) {
    benchmark::RegisterBenchmark(op, [&context, op](auto& s) { BenchRows(s, context, op); })
        ->Args({1, 2048})
        ->Args({512, 2048})
        ->UseRealTime();
  }
}

}  // namespace
}  // namespace awq

int main(int argc, char** argv) {
  int threads = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--threads=", 10) == 0) {
      threads = std::atoi(argv[i] + 10);
      std::copy(argv + i + 1, argv + argc, argv + i);
      --argc;
      break;
    }
  }
  benchmark::Initialize(&argc, argv);
  awq::Context context{.backend = awq::MakeBackend("cpu", threads), .peaks = {}};
  {
    awq::ThreadPool pool(context.backend->Info().threads);
    context.peaks = awq::MeasurePeaks(pool);
  }
  std::printf("%s: reads %.1f GB/s, multiply-adds %.1f GFLOP/s\n",
              context.backend->Info().device.c_str(), context.peaks.bytes_per_second * 1e-9,
              context.peaks.flops_per_second * 1e-9);
  awq::Register(context);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
#endif
