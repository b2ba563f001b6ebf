// The weights that verify checks the W4 linear kernels with.
#pragma once

#include <cstdint>

#include "awq/backend/cuda/bench/device_work.h"
#include "awq/backend/cuda/gemm_table.h"
#include "awq/pack/quantized_weight.h"

namespace awq::cuda {

struct VerifyCase {
  int64_t n, k, group;
  bool symmetric;
  bool centered = false;  // codes about their zero point, so that weights have no mean; inputs have
};

QuantizedWeight RandomWeight(const VerifyCase& c, uint32_t seed);

template <typename T>
DeviceArray<T> Upload(const T* from, int64_t count) {
  DeviceArray<T> out = AllocDevice<T>(count);
  AWQ_CUDA(cudaMemcpy(out.get(), from, static_cast<size_t>(count) * sizeof(T), cudaMemcpyDefault));
  return out;
}

// Every 97th value becomes 300, as activations have them.
void AddOutliers(bool bf16, int64_t count, uint16_t* x);

}  // namespace awq::cuda
