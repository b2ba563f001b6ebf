#include "awq/backend/cuda/dequantize.h"

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = 256;

// Outputs in the order of the checkpoint; gated: of the layout, pairs of gate and up.
// A thread turns the 4 inputs that a word holds of an output: block (output, span of 1024 inputs).
template <typename T>
__global__ void Q4Kernel(Q4Shape shape, const uint8_t* blocks, float scale, bool gated,
                         int64_t first, T* to, int64_t stride) {
  BeginKernel();
  int64_t row = first + blockIdx.x;
  if (gated) row = RowOfPairs(row, shape.n);
  const int64_t column = 4 * (int64_t{blockIdx.y} * kThreads + threadIdx.x);
  if (column >= shape.k) return;
  const uint8_t* block = blocks + shape.BlockOffset(row, column);
  const float s =
      scale *
      __half2float(*reinterpret_cast<const __half*>(blocks + shape.ScaleOffset(row, column)));
  const int zero = shape.has_zeros ? blocks[shape.ZeroOffset(row, column)] : 8;
  for (int i = 0; i < 4 && column + i < shape.k; ++i) {
    const CodePlace place =
        PlaceOfCode(static_cast<int>(row % kTileN), static_cast<int>((column + i) % kBlockK));
    const uint32_t word = reinterpret_cast<const uint32_t*>(block)[place.word];
    const int code = static_cast<int>(word >> place.shift & 15u);
    to[blockIdx.x * stride + column + i] = FromFloat<T>(static_cast<float>(code - zero) * s);
  }
}

template <typename T>
__global__ void Q8Kernel(Q8Shape shape, const uint8_t* blocks, int64_t first, T* to,
                         int64_t stride) {
  BeginKernel();
  const int64_t column = int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (column >= shape.k) return;
  to[blockIdx.x * stride + column] =
      FromFloat<T>(ValueOfQ8(shape, blocks, first + blockIdx.x, column));
}

template <typename T>
__global__ void PlainKernel(const uint8_t* codes, const float* scales, const uint8_t* zeros,
                            int64_t group, int64_t groups, int64_t k, int64_t first, T* to,
                            int64_t stride) {
  BeginKernel();
  const int64_t row = first + blockIdx.x;
  const int64_t column = int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (column >= k) return;
  const int64_t g = row * groups + column / group;
  const int value = static_cast<int>(codes[row * k + column]) - static_cast<int>(zeros[g]);
  to[blockIdx.x * stride + column] = FromFloat<T>(static_cast<float>(value) * scales[g]);
}

dim3 Grid(int64_t rows, int64_t columns) {
  return dim3(static_cast<unsigned>(rows),
              static_cast<unsigned>((columns + kThreads - 1) / kThreads));
}

}  // namespace

void Dequantize(const Queue& queue, const Q4Weight& w, int64_t first, const TensorView& to) {
  WithType(to.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Launch(queue, Q4Kernel<T>, Grid(to.dim(0), (w.k() + 3) / 4), kThreads, 0, w.shape(), w.blocks(),
           w.scale(), w.gated(), first, to.As<T>(), to.strides[0]);
  });
}

void Dequantize(const Queue& queue, const Q8Weight& w, int64_t first, const TensorView& to) {
  WithType(to.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Launch(queue, Q8Kernel<T>, Grid(to.dim(0), w.k()), kThreads, 0, w.shape(), w.blocks(), first,
           to.As<T>(), to.strides[0]);
  });
}

void Dequantize(const Queue& queue, const PlainWeight& w, int64_t first, const TensorView& to) {
  WithType(to.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Launch(queue, PlainKernel<T>, Grid(to.dim(0), w.k()), kThreads, 0, w.codes(), w.scales(),
           w.zeros(), w.group(), w.groups(), w.k(), first, to.As<T>(), to.strides[0]);
  });
}

}  // namespace awq::cuda
