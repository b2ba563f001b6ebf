#include "awq/backend/cuda/bench/verify.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "awq/backend/cuda/bench/device_work.h"
#include "awq/backend/cuda/pack_q4.h"

namespace awq::cuda {
namespace {

struct Case {
  int64_t n, k, group;
  bool symmetric;
};

template <typename T>
DeviceArray<T> Upload(const T* from, int64_t count) {
  DeviceArray<T> out = AllocDevice<T>(count);
  AWQ_CUDA(cudaMemcpy(out.get(), from, static_cast<size_t>(count) * sizeof(T), cudaMemcpyDefault));
  return out;
}

// Every 97th value becomes 300, as activations have them.
void AddOutliers(bool bf16, int64_t count, uint16_t* x) {
  std::vector<uint16_t> values(static_cast<size_t>(count));
  AWQ_CUDA(cudaMemcpy(values.data(), x, values.size() * 2, cudaMemcpyDefault));
  for (size_t i = 0; i < values.size(); i += 97) values[i] = bf16 ? 0x4396 : 0x5cb0;
  AWQ_CUDA(cudaMemcpy(x, values.data(), values.size() * 2, cudaMemcpyDefault));
}

QuantizedWeight RandomWeight(const Case& c, uint32_t seed) {
  std::mt19937 random(seed);
  const QuantScheme scheme{.bits = 4, .group = c.group, .symmetric = c.symmetric};
  QuantizedWeight w = MakeQuantizedWeight(scheme, c.n, c.k, DType::kF16);
  auto* codes = w.codes.As<uint8_t>();
  for (int64_t i = 0; i < c.n * c.k / 2; ++i) codes[i] = static_cast<uint8_t>(random());
  for (int64_t i = 0; i < w.scales.view().NumElements(); ++i) {
    StoreFloat(w.scales.view(), i, (1.0f + static_cast<float>(random() % 1024) / 256.0f) / 64.0f);
    if (!c.symmetric) w.zeros.As<uint8_t>()[i] = static_cast<uint8_t>(random() % 16);
  }
  return w;
}

// One weight on the device: in the resident layout, and canonical for the oracle.
class Bench {
 public:
  Bench(const Case& c, const DeviceLimits& device, std::string_view pattern)
      : case_(c), device_(device), pattern_(pattern) {
    const QuantizedWeight w = RandomWeight(c, static_cast<uint32_t>(c.n * 31 + c.k + c.group));
    const HostBlocks packed = PackQ4(w);
    shape_ = packed.shape;
    scale_ = packed.scale;
    blocks_ = Upload(packed.bytes.data(), static_cast<int64_t>(packed.bytes.size()));
    codes_ = Upload(w.codes.As<uint8_t>(), c.n * c.k / 2);
    const int64_t groups = w.scheme.Groups(c.k);
    const Tensor scales = ConvertTo(w.scales.view(), DType::kF32);
    scales_ = Upload(scales.As<float>(), c.n * groups);
    if (!c.symmetric) zeros_ = Upload(w.zeros.As<uint8_t>(), c.n * groups);
    std::vector<float> bias(static_cast<size_t>(c.n));
    for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i % 17) - 8.0f;
    bias_ = Upload(bias.data(), c.n);
  }

  // Failures of all rows that support m rows of x of this type.
  int Check(int64_t m, bool bf16, bool f32_out, bool bias) {
    const int64_t x_stride = case_.k + 8;
    const int64_t y_stride = case_.n + (bf16 ? 3 : 4);  // two outputs at once need even ones
    auto x = AllocDevice<uint16_t>(m * x_stride);
    FillNormal(bf16, m * x_stride, static_cast<uint32_t>(m + case_.k), x.get());
    if (m % 2 == 1) AddOutliers(bf16, m * x_stride, x.get());
    auto expected = AllocDevice<double>(m * case_.n);
    LinearOracle({.codes = codes_.get(),
                  .scales = scales_.get(),
                  .zeros = zeros_.get(),
                  .n = case_.n,
                  .k = case_.k,
                  .group = shape_.group,
                  .groups = GroupsOf(),
                  .m = m,
                  .x = x.get(),
                  .x_stride = x_stride,
                  .bf16 = bf16,
                  .bias = bias ? bias_.get() : nullptr,
                  .y = expected.get()});
    std::vector<double> want(static_cast<size_t>(m * case_.n));
    AWQ_CUDA(cudaMemcpy(want.data(), expected.get(), want.size() * 8, cudaMemcpyDefault));
    const int64_t y_bytes = m * y_stride * (f32_out ? 4 : 2);
    auto y = AllocDevice<uint8_t>(y_bytes);
    LinearQ4 p{.shape = shape_,
               .blocks = blocks_.get(),
               .scale = scale_,
               .m = m,
               .act = bf16 ? DType::kBF16 : DType::kF16,
               .x = x.get(),
               .x_stride = x_stride,
               .bias = bias ? bias_.get() : nullptr,
               .y = y.get(),
               .y_stride = y_stride};
    p.out = f32_out ? DType::kF32 : p.act;
    int failures = 0;
    for (const GemmRow& row : GemmTable()) {
      if (row.name.find(pattern_) == std::string_view::npos) continue;
      if (!row.supports(p, device_)) continue;
      const int64_t workspace_bytes = std::max<int64_t>(1, row.workspace(p, device_));
      const auto workspace = AllocDevice<uint8_t>(workspace_bytes);
      AWQ_CUDA(cudaMemset(workspace.get(), 0, static_cast<size_t>(workspace_bytes)));
      for (const bool overlap : {false, true}) {
        AWQ_CUDA(cudaMemset(y.get(), 0xff, static_cast<size_t>(y_bytes)));  // NaN everywhere
        row.launch(p, device_,
                   {.stream = nullptr, .overlap = overlap, .workspace = workspace.get()});
        AWQ_CUDA(cudaDeviceSynchronize());
        std::vector<uint8_t> got(static_cast<size_t>(y_bytes));
        AWQ_CUDA(cudaMemcpy(got.data(), y.get(), got.size(), cudaMemcpyDefault));
        failures += Compare(row, p, want, got);
        ++checks;
      }
    }
    return failures;
  }

  int64_t checks = 0;
  double worst = 0.0;  // NMSE over its limit

 private:
  int64_t GroupsOf() const { return (case_.k + shape_.group - 1) / shape_.group; }

  int Compare(const GemmRow& row, const LinearQ4& p, const std::vector<double>& want,
              const std::vector<uint8_t>& got) {
    // Rounding of the result alone: (2^-12)²/3 and (2^-9)²/3 in the mean; f32: order of summation.
    // The same for weights that are rounded before.
    const bool exact = p.out == DType::kF32 && !row.rounds_weights;
    const double limit =
        exact ? 1e-10 : (row.rounds_weights ? 2 : 1) * (p.act == DType::kF16 ? 1e-7 : 6e-6);
    double error = 0.0;
    double norm = 0.0;
    bool touched = false;
    for (int64_t m = 0; m < p.m; ++m) {
      for (int64_t n = 0; n < p.y_stride; ++n) {
        const int64_t i = m * p.y_stride + n;
        float y = 0.0f;
        if (p.out == DType::kF32) {
          std::memcpy(&y, &got[static_cast<size_t>(4 * i)], 4);
        } else {
          uint16_t bits = 0;
          std::memcpy(&bits, &got[static_cast<size_t>(2 * i)], 2);
          y = p.out == DType::kF16 ? F16ToFloat(bits) : Bf16ToFloat(bits);
        }
        if (n >= p.shape.n) {
          touched = touched || !std::isnan(y);
          continue;
        }
        const double w = want[static_cast<size_t>(m * p.shape.n + n)];
        error += (y - w) * (y - w);
        norm += w * w;
      }
    }
    const double nmse = error / norm;
    if (std::isfinite(nmse)) worst = std::max(worst, nmse / limit);
    if (nmse <= limit && !touched) return 0;
    std::printf("FAIL %-12.*s M=%ld N=%ld K=%ld group %ld %s %s->%s: nmse %.2e, limit %.0e%s\n",
                static_cast<int>(row.name.size()), row.name.data(), static_cast<long>(p.m),
                static_cast<long>(p.shape.n), static_cast<long>(p.shape.k),
                static_cast<long>(case_.group), case_.symmetric ? "sym" : "asym",
                std::string(NameOf(p.act)).c_str(), std::string(NameOf(p.out)).c_str(), nmse, limit,
                touched ? ", wrote outside" : "");
    return 1;
  }

  Case case_;
  const DeviceLimits& device_;
  std::string_view pattern_;
  Q4Shape shape_;
  float scale_ = 1.0f;
  DeviceArray<uint8_t> blocks_, codes_, zeros_;
  DeviceArray<float> scales_, bias_;
};

// y = W·(W·(… x)) with overlapped launches equals the same chain without, bit for bit: a kernel
// that read x before its predecessor had finished would differ.
int CheckChain(const DeviceLimits& device) {
  const int64_t size = 2048;
  const Case c{size, size, 128, false};
  const HostBlocks packed = PackQ4(RandomWeight(c, 5));
  const auto blocks = Upload(packed.bytes.data(), static_cast<int64_t>(packed.bytes.size()));
  int failures = 0;
  const int64_t workspace_bytes = int64_t{64} << 20;
  const auto workspace = AllocDevice<uint8_t>(workspace_bytes);
  AWQ_CUDA(cudaMemset(workspace.get(), 0, static_cast<size_t>(workspace_bytes)));
  for (const int64_t m : {1, 8, 16, 64, 100}) {
    std::vector<uint16_t> results[2];
    for (const bool overlap : {false, true}) {
      DeviceArray<uint16_t> buffers[2] = {AllocDevice<uint16_t>(m * size),
                                          AllocDevice<uint16_t>(m * size)};
      FillNormal(true, m * size, 3, buffers[0].get());
      AWQ_CUDA(cudaMemset(buffers[1].get(), 0, static_cast<size_t>(2 * m * size)));
      AWQ_CUDA(cudaDeviceSynchronize());
      for (int i = 0; i < 12; ++i) {
        const LinearQ4 p{.shape = packed.shape,
                         .blocks = blocks.get(),
                         .scale = 1.0f / 8,
                         .m = m,
                         .act = DType::kBF16,
                         .out = DType::kBF16,
                         .x = buffers[i % 2].get(),
                         .x_stride = size,
                         .y = buffers[1 - i % 2].get(),
                         .y_stride = size};
        ChooseGemm(p, device).launch(
            p, device, {.stream = nullptr, .overlap = overlap, .workspace = workspace.get()});
      }
      results[overlap].resize(static_cast<size_t>(m * size));
      AWQ_CUDA(cudaMemcpy(results[overlap].data(), buffers[0].get(),
                          static_cast<size_t>(2 * m * size), cudaMemcpyDefault));
    }
    const bool finite =
        std::isfinite(Bf16ToFloat(results[0][0])) && Bf16ToFloat(results[0][0]) != 0;
    if (results[0] != results[1] || !finite) {
      std::printf("FAIL overlapped chain, M=%ld\n", static_cast<long>(m));
      ++failures;
    }
  }
  return failures;
}

}  // namespace

int VerifyAll(const DeviceLimits& device, bool small, std::string_view pattern) {
  std::vector<Case> cases = {{16, 128, 128, false},
                             {37, 264, 32, false},
                             {200, 1024, 64, true},
                             {64, 520, -1, true},
                             {208, 1152, 64, false}};
  std::vector<int64_t> sizes = {1, 3, 8, 9, 17, 33, 70};
  if (!small) {
    for (const int64_t group : {32, 64, 128, 256, -1}) {
      for (const bool symmetric : {false, true}) cases.push_back({1000, 2048, group, symmetric});
    }
    cases.push_back({4096, 4096, 128, false});
    cases.push_back({512, 11008, 128, false});
    cases.push_back({4096, 14336, 128, false});
    cases.push_back({6144, 4096, 128, true});
    sizes = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 200, 300, 520};
  }
  int failures = CheckChain(device);
  int64_t checks = 0;
  double worst = 0.0;
  for (const Case& c : cases) {
    Bench bench(c, device, pattern);
    for (const int64_t m : sizes) {
      for (const bool bf16 : {false, true}) {
        failures += bench.Check(m, bf16, false, m % 2 == 0);
        if (small || m % 3 == 0) failures += bench.Check(m, bf16, true, m % 2 == 1);
      }
    }
    if (c.n == 6144)
      failures += bench.Check(2200, false, false, true);  // rows in two groups of tiles
    checks += bench.checks;
    worst = std::max(worst, bench.worst);
  }
  std::printf("verify: %ld launches checked, %d failures, worst nmse %.2f of its limit\n",
              static_cast<long>(checks), failures, worst);
  return failures;
}

}  // namespace awq::cuda
