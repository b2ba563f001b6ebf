// How kernels go through rows of elements: one element a thread, or eight where rows allow it.
#pragma once

#include <type_traits>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"
#include "awq/base/tensor.h"

namespace awq::cuda {

inline constexpr int kThreads = 256;
inline constexpr int kWide = 8;  // elements a thread at once, where rows allow it

inline unsigned Blocks(int64_t count, int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

// Whether all rows begin at a multiple of eight elements and hold a multiple of eight.
inline bool IsWide(const TensorView& t) {
  if (t.empty()) return true;
  const int64_t unit = kWide * BitsOf(t.dtype) / 8;
  bool wide = t.dim(t.rank() - 1) % kWide == 0 && reinterpret_cast<uintptr_t>(t.data) % unit == 0;
  for (int i = 0; i + 1 < t.rank(); ++i) wide = wide && t.strides[i] % kWide == 0;
  return wide;
}

// A matrix as kernels see it.
template <typename T>
struct Matrix {
  T* data;
  int64_t stride;
  __device__ T* Row(int64_t row) const { return data + row * stride; }
};
template <typename T>
Matrix<T> AsMatrix(const TensorView& t) {
  return {static_cast<T*>(t.data), t.empty() ? 0 : t.strides[0]};
}

// Calls f with an int constant 8 or 1.
template <typename F>
void WithWidth(bool wide, F&& f) {
  if (wide) {
    f(std::integral_constant<int, kWide>());
  } else {
    f(std::integral_constant<int, 1>());
  }
}

// Thread i of a row's blocks: V columns.
template <int V>
__device__ int Column() {
  return (static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x)) * V;
}
inline dim3 RowGrid(int64_t rows, int64_t columns, int width) {
  return dim3(static_cast<unsigned>(rows), Blocks(columns, kThreads * width));
}

__device__ inline float BlockSum(float v) {
  __shared__ float parts[32];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  v = WarpSum(v);
  __syncthreads();
  if (lane == 0) parts[warp] = v;
  __syncthreads();
  return WarpSum(lane < static_cast<int>(blockDim.x) / 32 ? parts[lane] : 0.0f);
}

}  // namespace awq::cuda
