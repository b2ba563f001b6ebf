#include "awq/backend/cuda/bench/verify_chain.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "awq/backend/cuda/bench/verify_case.h"
#include "awq/backend/cuda/pack_q4.h"

namespace awq::cuda {
namespace {

// Inputs that kernels cut into parts, and a last block that is not full.
constexpr int64_t kSize = 4104;

class Chain {
 public:
  Chain(const DeviceLimits& device, int64_t most_rows)
      : device_(device),
        packed_(PackQ4(RandomWeight({kSize, kSize, 128, false}, 5))),
        blocks_(Upload(packed_.bytes.data(), static_cast<int64_t>(packed_.bytes.size()))),
        workspace_(AllocDevice<uint8_t>(kWorkspace)) {
    for (auto& buffer : buffers_) buffer = AllocDevice<uint16_t>(most_rows * kSize);
    AWQ_CUDA(cudaMemset(workspace_.get(), 0, static_cast<size_t>(kWorkspace)));
  }

  LinearQ4 Problem(int64_t m, int step) const {
    return {.shape = packed_.shape,
            .blocks = blocks_.get(),
            .scale = packed_.scale / 16,
            .m = m,
            .act = DType::kBF16,
            .out = DType::kBF16,
            .x = buffers_[step % 2].get(),
            .x_stride = kSize,
            .y = buffers_[1 - step % 2].get(),
            .y_stride = kSize};
  }

  // The rows in turn, an even number of steps.
  std::vector<uint16_t> Run(const std::vector<const GemmRow*>& rows, int64_t m,
                            bool overlap) const {
    FillNormal(true, m * kSize, 3, buffers_[0].get());
    AWQ_CUDA(cudaMemset(buffers_[1].get(), 0, static_cast<size_t>(2 * m * kSize)));
    AWQ_CUDA(cudaDeviceSynchronize());
    const int steps = std::max(12, static_cast<int>(rows.size() + 1) / 2 * 2);
    for (int i = 0; i < steps; ++i) {
      const GemmRow& row = *rows[static_cast<size_t>(i) % rows.size()];
      row.launch(Problem(m, i), device_,
                 {.stream = nullptr, .overlap = overlap, .workspace = workspace_.get()});
    }
    std::vector<uint16_t> y(static_cast<size_t>(m * kSize));
    AWQ_CUDA(cudaMemcpy(y.data(), buffers_[0].get(), 2 * y.size(), cudaMemcpyDefault));
    return y;
  }

 private:
  static constexpr int64_t kWorkspace = int64_t{64} << 20;

  const DeviceLimits& device_;
  HostBlocks packed_;
  DeviceArray<uint8_t> blocks_, workspace_;
  DeviceArray<uint16_t> buffers_[2];
};

}  // namespace

int VerifyChains(const DeviceLimits& device, std::string_view pattern) {
  int failures = 0;
  const std::vector<int64_t> row_counts = {1, 3, 8, 16, 64, 100};
  const Chain chain(device, row_counts.back());
  for (const int64_t m : row_counts) {
    std::vector<std::vector<const GemmRow*>> chains(1);  // all of them, then each
    for (const GemmRow& row : GemmTable()) {
      if (row.name.find(pattern) == std::string_view::npos) continue;
      if (!row.supports(chain.Problem(m, 0), device)) continue;
      chains[0].push_back(&row);
      chains.push_back({&row});
    }
    if (chains[0].empty()) continue;
    for (const auto& rows : chains) {
      const std::vector<uint16_t> alone = chain.Run(rows, m, false);
      const float first = Bf16ToFloat(alone[0]);
      if (alone == chain.Run(rows, m, true) && std::isfinite(first) && first != 0) continue;
      const std::string name(rows.size() == 1 ? rows[0]->name : "all kernels");
      std::printf("FAIL overlapped chain, %s, M=%ld\n", name.c_str(), static_cast<long>(m));
      ++failures;
    }
  }
  return failures;
}

}  // namespace awq::cuda
