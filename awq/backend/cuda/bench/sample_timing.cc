#include "awq/backend/cuda/bench/sample_timing.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "awq/backend/cuda/bench/device_work.h"
#include "awq/backend/cuda/bench/graph_timer.h"
#include "awq/backend/cuda/rows.h"
#include "awq/backend/cuda/sample.h"
#include "awq/ops/sample_row.h"

namespace awq::cuda {
namespace {

// Bytes of steps' logits, so that L2 holds none of them when their turn comes.
constexpr int64_t kRotation = int64_t{256} << 20;

struct Kind {
  const char* name;
  float temperature;
  int top_k;
  float top_p;
  float spread;  // of the logits
};
const std::vector<Kind> kKinds = {
    {"temperature", 0.8f, 0, 1, 4}, {"top-k 40", 1, 40, 1, 4},
    {"top-p .95", 1, 0, 0.95f, 4},  {"both", 1, 40, 0.95f, 4},
    {"top-k 1000", 1, 1000, 1, 4},  {"hot, top-p .95", 5, 0, 0.95f, 4},
    {"flat, both", 1, 40, 0.95f, 0}};

template <typename T>
DeviceArray<T> Upload(const std::vector<T>& values) {
  auto out = AllocDevice<T>(static_cast<int64_t>(values.size()));
  AWQ_CUDA(cudaMemcpy(out.get(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return out;
}

class Steps {
 public:
  Steps(const DeviceLimits& device, const Kind& kind, int64_t rows, int64_t columns)
      : overlap_(device.arch >= 90),
        kind_(kind),
        rows_(rows),
        columns_(columns),
        copies_(std::clamp<int64_t>(kRotation / (rows * columns * 4), 4, 64)),
        logits_(AllocDevice<float>(copies_ * rows * columns)),
        ids_(AllocDevice<int32_t>(rows)),
        temperature_(Upload(std::vector(static_cast<size_t>(rows), kind.temperature))),
        top_p_(Upload(std::vector(static_cast<size_t>(rows), kind.top_p))),
        distance_(
            Upload(std::vector(static_cast<size_t>(rows), std::numeric_limits<float>::infinity()))),
        repetition_(Upload(std::vector(static_cast<size_t>(rows), 1.0f))),
        top_k_(Upload(std::vector(static_cast<size_t>(rows), kind.top_k))),
        host_random_(static_cast<size_t>(2 * rows)) {
    FillLogits(kind.spread, copies_ * rows * columns, 3, logits_.get());
    std::mt19937 random(5);
    for (int32_t& word : host_random_) word = static_cast<int32_t>(random());
    random_ = Upload(host_random_);
  }

  Timing TimeDraw() const {
    return TimeGraph(static_cast<int>(copies_), 9, [&](cudaStream_t stream) {
      for (int64_t c = 0; c < copies_; ++c) Draw(c, stream);
    });
  }
  Timing TimeLargest() const {
    return TimeGraph(static_cast<int>(copies_), 9, [&](cudaStream_t stream) {
      for (int64_t c = 0; c < copies_; ++c) ArgMax({stream, overlap_}, Logits(c), Ids());
    });
  }
  // Of the first step.
  int CountDifferences() const {
    Draw(0, nullptr);
    const auto n = static_cast<size_t>(rows_);
    std::vector<int32_t> ids(n);
    std::vector<float> logits(n * static_cast<size_t>(columns_));
    AWQ_CUDA(cudaMemcpy(ids.data(), ids_.get(), n * 4, cudaMemcpyDeviceToHost));
    AWQ_CUDA(cudaMemcpy(logits.data(), logits_.get(), logits.size() * 4, cudaMemcpyDeviceToHost));
    int differences = 0;
    for (size_t r = 0; r < n; ++r) {
      const auto half = [&](size_t i) {
        return uint64_t{static_cast<uint32_t>(host_random_[2 * r + i])};
      };
      const SampleRow row{.temperature = kind_.temperature,
                          .top_k = kind_.top_k,
                          .top_p = kind_.top_p,
                          .random = half(0) | half(1) << 32};
      const auto columns = static_cast<size_t>(columns_);
      if (DrawFromRow(row, std::span(logits).subspan(r * columns, columns)) != ids[r]) {
        ++differences;
      }
    }
    return differences;
  }

 private:
  TensorView Logits(int64_t copy) const {
    return {logits_.get() + copy * rows_ * columns_, DType::kF32, {rows_, columns_}, Device::kCuda};
  }
  TensorView Ids() const { return {ids_.get(), DType::kI32, {rows_}, Device::kCuda}; }
  void Draw(int64_t copy, cudaStream_t stream) const {
    const auto floats = [&](const DeviceArray<float>& values) {
      return TensorView(values.get(), DType::kF32, {rows_}, Device::kCuda);
    };
    const SampleArgs args{.temperature = floats(temperature_),
                          .top_k = {top_k_.get(), DType::kI32, {rows_}, Device::kCuda},
                          .top_p = floats(top_p_),
                          .most_distance = floats(distance_),
                          .repetition = floats(repetition_),
                          .random = {random_.get(), DType::kI32, {rows_, 2}, Device::kCuda},
                          .seen = {},
                          .subtract = {}};
    Sample({stream, overlap_}, args, Logits(copy), Ids());
  }

  bool overlap_;
  Kind kind_;
  int64_t rows_, columns_, copies_;
  DeviceArray<float> logits_;
  DeviceArray<int32_t> ids_;
  DeviceArray<float> temperature_, top_p_, distance_, repetition_;
  DeviceArray<int32_t> top_k_, random_;
  std::vector<int32_t> host_random_;
};

}  // namespace

int TimeSampling(const DeviceLimits& device) {
  std::printf("%-18s %7s %5s %10s %10s  [min, max]   over   rows that differ from the host's\n",
              "draw", "V", "rows", "largest us", "us");
  int differences = 0;
  for (const int64_t columns : {32000, 128256}) {
    for (const int64_t rows : {1, 8, 64}) {
      for (const Kind& kind : kKinds) {
        const Steps steps(device, kind, rows, columns);
        const int wrong = steps.CountDifferences();
        const Timing largest = steps.TimeLargest();
        const Timing draw = steps.TimeDraw();
        std::printf("%-18s %7ld %5ld %10.2f %10.2f  [%.2f, %.2f]  %.2f  %d\n", kind.name,
                    static_cast<long>(columns), static_cast<long>(rows), largest.median_us,
                    draw.median_us, draw.min_us, draw.max_us, draw.median_us - largest.median_us,
                    wrong);
        std::fflush(stdout);
        differences += wrong;
      }
    }
  }
  return differences;
}

}  // namespace awq::cuda
