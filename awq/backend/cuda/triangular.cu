#include "awq/backend/cuda/triangular.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {
namespace {

constexpr int kPanel = 64;
constexpr int kThreads = 128;

// The factor of a[size, size] at `at` in place, by one thread block; sets *bad to the first column
// (counted from `first`) whose pivot is not positive, unless it is set already.
__global__ void FactorKernel(float* a, int64_t stride, int size, int first, int* bad) {
  __shared__ float l[kPanel][kPanel + 1];
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < size * size; i += kThreads) {
    l[i / size][i % size] = a[i / size * stride + i % size];
  }
  __syncthreads();
  for (int j = 0; j < size; ++j) {
    const float pivot = l[j][j];
    if (!(pivot > 0.0f) && thread == 0 && *bad < 0) *bad = first + j;
    const float root = sqrtf(pivot);
    __syncthreads();
    for (int i = j + thread; i < size; i += kThreads) l[i][j] = i == j ? root : l[i][j] / root;
    __syncthreads();
    for (int i = thread; i < size * size; i += kThreads) {
      const int r = i / size;
      const int c = i % size;
      if (c > j && r >= c) l[r][c] -= l[r][j] * l[c][j];
    }
    __syncthreads();
  }
  for (int i = thread; i < size * size; i += kThreads) {
    a[i / size * stride + i % size] = l[i / size][i % size];
  }
}

// b[rows, size] := b · op(l)⁻¹ with l [size, size]; one thread a row.
__global__ void SolveKernel(const float* l, int64_t l_stride, bool transpose, float* b,
                            int64_t b_stride, int64_t rows, int size) {
  __shared__ float factor[kPanel][kPanel + 1];
  for (int i = static_cast<int>(threadIdx.x); i < size * size; i += kThreads) {
    const int r = i / size;
    const int c = i % size;
    factor[r][c] = transpose ? l[r * l_stride + c] : l[c * l_stride + r];
  }
  __syncthreads();
  const int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= rows) return;
  float* at = b + row * b_stride;
  float x[kPanel];
  for (int step = 0; step < size; ++step) {
    const int c = transpose ? step : size - 1 - step;
    float sum = at[c];
    for (int j = 0; j < step; ++j) {
      const int other = transpose ? j : size - 1 - j;
      sum -= x[j] * factor[c][other];
    }
    x[step] = sum / factor[c][c];
    at[c] = x[step];
  }
}

void SolvePanel(Stream& stream, const TensorView& l, bool transpose, const TensorView& b) {
  const int64_t rows = b.dim(0);
  if (rows == 0) return;
  SolveKernel<<<static_cast<unsigned>((rows + kThreads - 1) / kThreads), kThreads, 0,
                stream.get()>>>(l.As<const float>(), l.strides[0], transpose, b.As<float>(),
                                b.strides[0], rows, static_cast<int>(b.dim(1)));
}

}  // namespace

int64_t Cholesky(Stream& stream, Blas& blas, const TensorView& a) {
  const int64_t k = a.dim(0);
  const Tensor bad = stream.Alloc(DType::kI32, {1});
  AWQ_CUDA(cudaMemsetAsync(bad.view().data, 0xff, sizeof(int), stream.get()));
  for (int64_t first = 0; first < k; first += kPanel) {
    const int64_t end = std::min<int64_t>(k, first + kPanel);
    const TensorView diagonal = a.Rows(first, end).Columns(first, end);
    FactorKernel<<<1, kThreads, 0, stream.get()>>>(diagonal.As<float>(), a.strides[0],
                                                   static_cast<int>(end - first),
                                                   static_cast<int>(first), bad.As<int>());
    if (end == k) break;
    const TensorView below = a.Rows(end, k).Columns(first, end);
    SolvePanel(stream, diagonal, true, below);
    blas.Multiply(below, false, below, true, a.Rows(end, k).Columns(end, k), -1.0f, 1.0f);
  }
  AWQ_CUDA(cudaGetLastError());
  int column = -1;
  AWQ_CUDA(cudaMemcpyAsync(&column, bad.view().data, sizeof column, cudaMemcpyDeviceToHost,
                           stream.get()));
  stream.Sync();
  return column;
}

void SolveTriangular(Stream& stream, Blas& blas, const TensorView& l, bool transpose,
                     const TensorView& b) {
  const int64_t k = b.dim(1);
  const int64_t panels = (k + kPanel - 1) / kPanel;
  for (int64_t i = 0; i < panels; ++i) {
    // x · lᵀ = b runs forwards through the columns, x · l = b backwards.
    const int64_t first = (transpose ? i : panels - 1 - i) * kPanel;
    const int64_t end = std::min<int64_t>(k, first + kPanel);
    SolvePanel(stream, l.Rows(first, end).Columns(first, end), transpose, b.Columns(first, end));
    if (transpose && end < k) {
      blas.Multiply(b.Columns(first, end), false, l.Rows(end, k).Columns(first, end), true,
                    b.Columns(end, k), -1.0f, 1.0f);
    } else if (!transpose && first > 0) {
      blas.Multiply(b.Columns(first, end), false, l.Rows(first, end).Columns(0, first), false,
                    b.Columns(0, first), -1.0f, 1.0f);
    }
  }
  AWQ_CUDA(cudaGetLastError());
}

}  // namespace awq::cuda
