// The fp16 baseline: y[M, N] = x[M, K] · Wᵀ by cuBLASLt.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

#include "awq/backend/cuda/bench/device_work.h"

namespace awq::cuda {

class CublasLinear {
 public:
  CublasLinear(int64_t m, int64_t n, int64_t k);
  ~CublasLinear();
  CublasLinear(const CublasLinear&) = delete;
  CublasLinear& operator=(const CublasLinear&) = delete;

  // The library's candidates for this shape, its first choice first.
  int NumCandidates() const { return static_cast<int>(candidates_.size()); }
  void Run(int candidate, const void* w, const void* x, void* y, cudaStream_t stream) const;

 private:
  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulDesc_t op_ = nullptr;
  cublasLtMatrixLayout_t w_ = nullptr;
  cublasLtMatrixLayout_t x_ = nullptr;
  cublasLtMatrixLayout_t y_ = nullptr;
  std::vector<cublasLtMatmulAlgo_t> candidates_;
  DeviceArray<uint8_t> workspace_;
};

}  // namespace awq::cuda
