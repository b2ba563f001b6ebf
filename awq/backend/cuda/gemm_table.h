// The table of W4 linear kernels: what each can do, and how it is launched.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "awq/backend/cuda/device_limits.h"
#include "awq/backend/cuda/layout.h"
#include "awq/base/dtype.h"
#include "awq/ops/args.h"

namespace awq::cuda {

// y[M, N] = x[M, K] · Wᵀ + bias[N]; pointers on the device, strides in elements.
struct LinearQ4 {
  Q4Shape shape;
  const uint8_t* blocks = nullptr;  // layout.h
  float scale = 1.0f;               // multiplies every scale of the weight
  int64_t m = 0;
  DType act = DType::kF16;  // of x, F16 or BF16
  DType out = DType::kF16;  // act or F32
  const void* x = nullptr;
  int64_t x_stride = 0;
  const float* bias = nullptr;  // may be null
  void* y = nullptr;
  int64_t y_stride = 0;
  // Outputs 2i and 2i + 1 are gate i and up i: y[M, N / 2] = activation(gate) · up, of type act;
  // bias has all gates before all ups.
  std::optional<Activation> gate = {};
  // Only kernels whose sums of a row do not depend on M.
  bool same_sums = false;

  int GateArg() const { return gate ? static_cast<int>(*gate) : -1; }
};

struct LaunchContext {
  cudaStream_t stream = nullptr;
  // Programmatic dependent launch: the kernel starts while the previous one of the stream still
  // runs, fetches weights, and waits before it reads x or writes y.
  bool overlap = false;
  // At least row.workspace() bytes, zeroed before their first use and never touched by others;
  // kernels of one stream may share it. Null if none is needed.
  void* workspace = nullptr;
};

struct GemmRow {
  std::string_view name;
  std::string_view layout;
  // Whether it can, on this device.
  bool (*supports)(const LinearQ4& problem, const DeviceLimits& device);
  // What orders the rows for a supported problem: the lowest is taken.
  double (*estimate)(const LinearQ4& problem, const DeviceLimits& device);
  // Bytes of device memory it needs beside its arguments.
  int64_t (*workspace)(const LinearQ4& problem, const DeviceLimits& device);
  // Whether weights are rounded to the type of x before they are multiplied.
  bool rounds_weights;
  // Throws kDevice. Asynchronous.
  void (*launch)(const LinearQ4& problem, const DeviceLimits& device, const LaunchContext& context);
};

std::span<const GemmRow> GemmTable();
// The row of the lowest estimate, or null when no row fits.
const GemmRow* FindGemm(const LinearQ4& problem, const DeviceLimits& device);
// The same; throws kUnsupported naming the problem when no row fits.
const GemmRow& ChooseGemm(const LinearQ4& problem, const DeviceLimits& device);

}  // namespace awq::cuda
