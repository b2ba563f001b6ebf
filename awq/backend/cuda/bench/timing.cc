#include "awq/backend/cuda/bench/timing.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "awq/backend/cuda/bench/cublas_linear.h"
#include "awq/backend/cuda/bench/device_work.h"

namespace awq::cuda {
namespace {

constexpr int64_t kRotation = int64_t{640} << 20;  // ten times the L2 of an H200
constexpr int kReplays = 9;

int Copies(int64_t bytes) {
  return static_cast<int>(std::clamp<int64_t>(kRotation / bytes + 1, 4, 64));
}

// One layer's operands.
struct Layer {
  Layer(const LayerShape& s, int64_t most_m, bool bf16_)
      : shape{.n = s.n, .k = s.k, .group = 128, .has_zeros = true},
        bf16(bf16_),
        copies(Copies(shape.NumBytes())),
        blocks(AllocDevice<uint8_t>(copies * shape.NumBytes())),
        x(AllocDevice<uint16_t>(most_m * s.k)),
        y(AllocDevice<uint16_t>(most_m * s.n)) {
    FillRandomBlocks(shape, copies, 1, blocks.get());
    FillNormal(bf16, most_m * s.k, 2, x.get());
    AWQ_CUDA(cudaDeviceSynchronize());
  }
  LinearQ4 Problem(int64_t m, int copy) const {
    return {.shape = shape,
            .blocks = blocks.get() + copy % copies * shape.NumBytes(),
            .scale = 0x1p-17f,  // FillRandomBlocks
            .m = m,
            .act = bf16 ? DType::kBF16 : DType::kF16,
            .out = bf16 ? DType::kBF16 : DType::kF16,
            .x = x.get(),
            .x_stride = shape.k,
            .y = y.get(),
            .y_stride = shape.n};
  }
  double Bytes(int64_t m) const {
    return static_cast<double>(shape.NumBytes() + 2 * m * (shape.k + shape.n));
  }
  double LimitUs(int64_t m, const Ceilings& c) const {
    const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(shape.n * shape.k);
    return std::max(Bytes(m) / c.read_tbps, flops / c.fp16_tflops) * 1e-6;
  }

  Q4Shape shape;
  bool bf16;
  int copies;
  DeviceArray<uint8_t> blocks;
  DeviceArray<uint16_t> x, y;
};

// What the row needs, zeroed.
DeviceArray<uint8_t> Workspace(const GemmRow& row, const LinearQ4& p, const DeviceLimits& device) {
  const int64_t bytes = std::max<int64_t>(1, row.workspace(p, device));
  auto out = AllocDevice<uint8_t>(bytes);
  AWQ_CUDA(cudaMemset(out.get(), 0, static_cast<size_t>(bytes)));
  return out;
}

// The best of the library's candidates.
class Baseline {
 public:
  Baseline(const LayerShape& s, int64_t most_m)
      : shape_(s),
        copies_(Copies(2 * s.n * s.k)),
        w_(AllocDevice<uint16_t>(copies_ * s.n * s.k)),
        x_(AllocDevice<uint16_t>(most_m * s.k)),
        y_(AllocDevice<uint16_t>(most_m * s.n)) {
    FillNormal(false, copies_ * s.n * s.k, 3, w_.get());
    FillNormal(false, most_m * s.k, 4, x_.get());
  }
  Timing Time(int64_t m) const {
    const CublasLinear linear(m, shape_.n, shape_.k);
    Timing best;
    for (int c = 0; c < linear.NumCandidates(); ++c) {
      const Timing t = TimeGraph(copies_, kReplays, [&](cudaStream_t stream) {
        for (int i = 0; i < copies_; ++i) {
          linear.Run(c, w_.get() + i * shape_.n * shape_.k, x_.get(), y_.get(), stream);
        }
      });
      if (c == 0 || t.median_us < best.median_us) best = t;
    }
    return best;
  }

 private:
  LayerShape shape_;
  int copies_;
  DeviceArray<uint16_t> w_, x_, y_;
};

}  // namespace

Ceilings MeasureCeilings() {
  Ceilings out;
  const int64_t bytes = int64_t{4} << 30;
  auto memory = AllocDevice<uint16_t>(bytes / 2);
  auto sink = AllocDevice<uint32_t>(1);
  FillNormal(false, bytes / 2, 9, memory.get());
  for (const int blocks : {528, 1056, 2112}) {
    const Timing t = TimeGraph(1, kReplays, [&](cudaStream_t stream) {
      ReadAll(reinterpret_cast<const uint8_t*>(memory.get()), bytes, blocks, sink.get(), stream);
    });
    out.read_tbps = std::max(out.read_tbps, static_cast<double>(bytes) / t.median_us * 1e-6);
  }
  const int64_t n = 8192;
  const CublasLinear linear(n, n, n);
  for (int c = 0; c < std::min(2, linear.NumCandidates()); ++c) {
    const Timing t = TimeGraph(4, 5, [&](cudaStream_t stream) {
      for (int i = 0; i < 4; ++i) {
        linear.Run(c, memory.get(), memory.get() + n * n, memory.get() + 2 * n * n, stream);
      }
    });
    out.fp16_tflops =
        std::max(out.fp16_tflops, 2e-6 * static_cast<double>(n * n * n) / t.median_us);
  }
  return out;
}

std::vector<Measurement> TimeLinears(const DeviceLimits& device, const Ceilings& ceilings,
                                     const std::vector<LayerShape>& shapes,
                                     const std::vector<int64_t>& ms, bool bf16) {
  std::vector<Measurement> out;
  const int64_t most_m = *std::max_element(ms.begin(), ms.end());
  std::printf(
      "\nlayer         M  kernel        floor us  overlap us   [min, max]        alone us  TB/s  "
      "%% read  cuBLAS us  speedup\n");
  for (const LayerShape& s : shapes) {
    const Layer layer(s, most_m, bf16);
    const Baseline baseline(s, most_m);
    // Until the clocks are up, and not down for the power that many rows of the layer before took.
    std::this_thread::sleep_for(std::chrono::seconds(1));
    baseline.Time(ms.front());
    for (const int64_t m : ms) {
      const LinearQ4 first = layer.Problem(m, 0);
      const GemmRow& row = ChooseGemm(first, device);
      const auto workspace = Workspace(row, first, device);
      Timing times[2];
      for (const bool overlap : {false, true}) {
        times[overlap] = TimeGraph(layer.copies, kReplays, [&](cudaStream_t stream) {
          for (int i = 0; i < layer.copies; ++i) {
            row.launch(layer.Problem(m, i), device,
                       {.stream = stream, .overlap = overlap, .workspace = workspace.get()});
          }
        });
      }
      const Timing cublas = baseline.Time(m);
      const double limit = layer.LimitUs(m, ceilings);
      const double tbps = layer.Bytes(m) / times[1].median_us * 1e-6;
      std::printf(
          "%-10s %4ld  %-12.*s %8.2f  %8.2f  [%6.2f, %6.2f]  %8.2f    %5.2f   %4.0f   %8.2f    "
          "%5.2f\n",
          s.name.c_str(), static_cast<long>(m), static_cast<int>(row.name.size()), row.name.data(),
          limit, times[1].median_us, times[1].min_us, times[1].max_us, times[0].median_us, tbps,
          100 * tbps / ceilings.read_tbps, cublas.median_us, cublas.median_us / times[1].median_us);
      std::fflush(stdout);
      for (const bool overlap : {false, true}) {
        out.push_back({.name = "linear_q4/" + s.name + "/" + std::string(row.name) +
                               (overlap ? "/overlap" : "/alone"),
                       .m = m,
                       .n = s.n,
                       .k = s.k,
                       .time = times[overlap],
                       .limit_us = limit,
                       .bytes = layer.Bytes(m),
                       .baseline = cublas});
      }
    }
  }
  return out;
}

void SweepTable(const DeviceLimits& device, const Ceilings& ceilings,
                const std::vector<LayerShape>& shapes, const std::vector<int64_t>& ms,
                std::string_view pattern) {
  const int64_t most_m = *std::max_element(ms.begin(), ms.end());
  std::printf("\nlayer         M  kernel            floor us  overlap us  alone us  %% read\n");
  for (const LayerShape& s : shapes) {
    const Layer layer(s, most_m, false);
    const Baseline baseline(s, most_m);
    for (const int64_t m : ms) {
      std::printf("%-10s %4ld  %-16s %9s   %9.2f\n", s.name.c_str(), static_cast<long>(m),
                  "cuBLAS fp16", "", baseline.Time(m).median_us);
      for (const GemmRow& row : GemmTable()) {
        if (!row.supports(layer.Problem(m, 0), device)) continue;
        if (row.name.find(pattern) == std::string_view::npos) continue;
        const auto workspace = Workspace(row, layer.Problem(m, 0), device);
        Timing times[2];
        for (const bool overlap : {false, true}) {
          times[overlap] = TimeGraph(layer.copies, 5, [&](cudaStream_t stream) {
            for (int i = 0; i < layer.copies; ++i) {
              row.launch(layer.Problem(m, i), device,
                         {.stream = stream, .overlap = overlap, .workspace = workspace.get()});
            }
          });
        }
        const double limit = layer.LimitUs(m, ceilings);
        std::printf("%-10s %4ld  %-16.*s %9.2f   %9.2f %9.2f    %4.0f\n", s.name.c_str(),
                    static_cast<long>(m), static_cast<int>(row.name.size()), row.name.data(), limit,
                    times[1].median_us, times[0].median_us,
                    100 * layer.Bytes(m) / times[1].median_us * 1e-6 / ceilings.read_tbps);
      }
      std::fflush(stdout);
    }
  }
}

}  // namespace awq::cuda
