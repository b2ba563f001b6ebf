// Device work of the benchmark that is not under test: random data, the float64 oracle, ceilings.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/layout.h"

namespace awq::cuda {

struct DeviceFree {
  void operator()(void* p) const { cudaFree(p); }
};
template <typename T>
using DeviceArray = std::unique_ptr<T[], DeviceFree>;

template <typename T>
DeviceArray<T> AllocDevice(int64_t count) {
  void* p = nullptr;
  AWQ_CUDA(cudaMalloc(&p, static_cast<size_t>(count) * sizeof(T)));
  return DeviceArray<T>(static_cast<T*>(p));
}

// Blocks of layout.h: random codes and zeros, scales in [1, 2) / 64 as f16.
void FillRandomBlocks(const Q4Shape& shape, int64_t copies, uint32_t seed, uint8_t* blocks);
// Normal, f16 or bf16, of standard deviation 1.
void FillNormal(bool bf16, int64_t count, uint32_t seed, void* out, float mean = 0.0f);
// Normal with this standard deviation.
void FillLogits(float spread, int64_t count, uint32_t seed, float* out);

// y[m, n] in float64 from the canonical tensors: codes u4 [N, K] low nibble first, scales f32 and
// zeros u8 [N, groups] (null: 8), x f16 or bf16 [M, x_stride].
struct OracleArgs {
  const uint8_t* codes;
  const float* scales;
  const uint8_t* zeros;
  int64_t n, k, group, groups, m;
  const void* x;
  int64_t x_stride;
  bool bf16;
  const float* bias;
  double* y;
};
void LinearOracle(const OracleArgs& args);

// Reads `bytes` once and keeps nothing.
void ReadAll(const uint8_t* from, int64_t bytes, int blocks, uint32_t* sink, cudaStream_t stream);

}  // namespace awq::cuda
