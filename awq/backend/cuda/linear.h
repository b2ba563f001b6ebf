// Linears of every kind of weight: the kernel table where it serves, else floats and cuBLASLt.
#pragma once

#include "awq/backend/cuda/blas.h"
#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/packed.h"
#include "awq/backend/cuda/stream.h"

namespace awq::cuda {

class LinearRunner {
 public:
  // deterministic: a row's sums do not depend on how many rows there are.
  LinearRunner(const DeviceLimits& device, const std::shared_ptr<Stream>& stream, Blas& blas,
               bool deterministic)
      : device_(device),
        deterministic_(deterministic),
        queue_{stream->get(), device.arch >= 90},
        blas_(blas),
        workspace_(stream, true),
        floats_(stream, false),
        pairs_(stream, false) {}

  // y[M, N] = x[M, K] · Wᵀ + bias[N]; arguments have passed CheckLinear.
  void Run(const PackedWeight& w, const TensorView& x, const TensorView& bias, const TensorView& y);

  // Of a gated weight: y[M, N / 2]; arguments have passed CheckGatedLinear.
  void RunGated(const Q4Weight& w, Activation kind, const TensorView& x, const TensorView& bias,
                const TensorView& y);

 private:
  // Whether a kernel of the table took it.
  bool RunQ4(const Q4Weight& w, const TensorView& x, const TensorView& bias, const TensorView& y,
             std::optional<Activation> gate = {});
  void RunDense(const DenseWeight& w, const TensorView& x, const TensorView& bias,
                const TensorView& y);
  // A span of outputs at a time as floats of the type of x.
  template <typename W>
  void RunAsFloats(const W& w, const TensorView& x, const TensorView& bias, const TensorView& y);
  // y = x · Wᵀ of floats of the type of x.
  void Multiply(const TensorView& x, const TensorView& w, const TensorView& y);

  DeviceLimits device_;
  bool deterministic_;
  Queue queue_;
  Blas& blas_;
  GrowingBuffer workspace_;
  GrowingBuffer floats_;
  GrowingBuffer pairs_;  // gate and up, where they cannot be multiplied at once
};

}  // namespace awq::cuda
