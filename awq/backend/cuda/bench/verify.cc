#include "awq/backend/cuda/bench/verify.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "awq/backend/cuda/bench/device_work.h"
#include "awq/backend/cuda/bench/verify_case.h"
#include "awq/backend/cuda/bench/verify_chain.h"
#include "awq/backend/cuda/pack_q4.h"

namespace awq::cuda {
namespace {

// One weight on the device: in the resident layout, and canonical for the oracle.
class Bench {
 public:
  Bench(const VerifyCase& c, const DeviceLimits& device, std::string_view pattern)
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
    const int64_t y_stride = case_.n + (m % 4 < 2 ? 4 : 3);  // two, four outputs at once or not
    auto x = AllocDevice<uint16_t>(m * x_stride);
    FillNormal(bf16, m * x_stride, static_cast<uint32_t>(m + case_.k), x.get(),
               case_.centered ? 1.0f : 0.0f);
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
        if (!f32_out && overlap && case_.n % 2 == 0) {
          failures += CheckGated(row, p, workspace.get());
          ++checks;
        }
      }
    }
    return failures;
  }

  int64_t checks = 0;
  double worst = 0.0;  // NMSE over its limit

 private:
  // Pairs of outputs as gate and up, beside what the same kernel stores of them without a gate.
  int CheckGated(const GemmRow& row, LinearQ4 p, void* workspace) {
    p.bias = nullptr;
    p.scale /= 64;  // products of two outputs are f16 too
    const auto outputs = [&] {
      std::vector<uint8_t> y(static_cast<size_t>(2 * p.m * p.y_stride));
      AWQ_CUDA(cudaMemset(p.y, 0xff, y.size()));
      row.launch(p, device_, {.stream = nullptr, .overlap = true, .workspace = workspace});
      AWQ_CUDA(cudaDeviceSynchronize());
      AWQ_CUDA(cudaMemcpy(y.data(), p.y, y.size(), cudaMemcpyDefault));
      return y;
    };
    const std::vector<uint8_t> plain = outputs();
    std::vector<double> want;
    for (int64_t m = 0; m < p.m; ++m) {
      for (int64_t i = m * p.y_stride; i < m * p.y_stride + case_.n; i += 2) {
        const double gate = Output(p, plain, i);
        want.push_back(gate / (1.0 + std::exp(-gate)) * Output(p, plain, i + 1));
      }
    }
    p.gate = Activation::kSilu;
    const std::vector<uint8_t> got = outputs();
    p.shape.n /= 2;
    return Compare(row, p, want, got);
  }

  static float Output(const LinearQ4& p, const std::vector<uint8_t>& y, int64_t i) {
    if (p.out == DType::kF32) {
      float v = 0.0f;
      std::memcpy(&v, &y[static_cast<size_t>(4 * i)], 4);
      return v;
    }
    uint16_t bits = 0;
    std::memcpy(&bits, &y[static_cast<size_t>(2 * i)], 2);
    return p.out == DType::kF16 ? F16ToFloat(bits) : Bf16ToFloat(bits);
  }

  int64_t GroupsOf() const { return (case_.k + shape_.group - 1) / shape_.group; }

  int Compare(const GemmRow& row, const LinearQ4& p, const std::vector<double>& want,
              const std::vector<uint8_t>& got) {
    // Rounding of the result alone: (2^-12)²/3 and (2^-9)²/3 in the mean; f32: order of summation,
    // of sums that are large before zero points are taken off where the inputs have a mean.
    // Weights that are rounded before count thrice, with their zero points; f16 rounds these once
    // for all inputs of a group, which counts where the inputs have a mean (wide_codes.cuh).
    const bool f16 = p.act == DType::kF16;
    const bool exact = p.out == DType::kF32 && !row.rounds_weights;
    double limit = (row.rounds_weights ? 4 : 1) * (f16 ? 1e-7 : 6e-6);
    if (exact) limit = case_.centered ? 1e-7 : 1e-10;
    if (case_.centered && row.rounds_weights && f16) limit = 8e-5;
    double error = 0.0;
    double norm = 0.0;
    bool touched = false;
    for (int64_t m = 0; m < p.m; ++m) {
      for (int64_t n = 0; n < p.y_stride; ++n) {
        const float y = Output(p, got, m * p.y_stride + n);
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
    std::printf("FAIL %-12.*s M=%ld N=%ld K=%ld group %ld %s %s->%s%s: nmse %.2e, limit %.0e%s\n",
                static_cast<int>(row.name.size()), row.name.data(), static_cast<long>(p.m),
                static_cast<long>(p.shape.n), static_cast<long>(p.shape.k),
                static_cast<long>(case_.group),
                case_.centered    ? "centered"
                : case_.symmetric ? "sym"
                                  : "asym",
                std::string(NameOf(p.act)).c_str(), std::string(NameOf(p.out)).c_str(),
                p.gate ? ", gated" : "", nmse, limit, touched ? ", wrote outside" : "");
    return 1;
  }

  VerifyCase case_;
  const DeviceLimits& device_;
  std::string_view pattern_;
  Q4Shape shape_;
  float scale_ = 1.0f;
  DeviceArray<uint8_t> blocks_, codes_, zeros_;
  DeviceArray<float> scales_, bias_;
};

}  // namespace

int VerifyAll(const DeviceLimits& device, bool small, std::string_view pattern) {
  std::vector<VerifyCase> cases = {{16, 128, 128, false},  {37, 264, 32, false},
                                   {200, 1024, 64, true},  {64, 520, -1, true},
                                   {208, 1152, 64, false}, {272, 1024, 128, false, true}};
  std::vector<int64_t> sizes = {1, 3, 8, 9, 17, 33, 70};
  // Many row tiles for each SM, for kernels that go through them.
  if (small && pattern.starts_with("held")) {
    cases.push_back({17000, 2056, 128, false});
    sizes = {3, 8, 9};
  }
  if (!small) {
    for (const int64_t group : {32, 64, 128, 256, -1}) {
      for (const bool symmetric : {false, true}) cases.push_back({1000, 2048, group, symmetric});
    }
    cases.push_back({4096, 4096, 128, false});
    cases.push_back({4096, 4096, 128, false, true});
    cases.push_back({512, 11008, 128, false});
    cases.push_back({4096, 14336, 128, false});
    cases.push_back({6144, 4096, 128, true});
    cases.push_back({20000, 2304, 128, false});  // many row tiles for each SM
    cases.push_back({20000, 4104, 128, true});   // and more parts
    sizes = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 200, 300, 520};
  }
  int failures = VerifyChains(device, pattern);
  int64_t checks = 0;
  double worst = 0.0;
  for (const VerifyCase& c : cases) {
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
