#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "awq/backend/cuda/bench/device_work.h"

namespace awq::cuda {
namespace {

__device__ uint32_t Hash(uint64_t i, uint32_t seed) {
  uint64_t z = i * 0x9e3779b97f4a7c15ull + seed * 0xd1342543de82ef95ull + 0x632be59bd9b4e019ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return static_cast<uint32_t>((z ^ (z >> 31)) >> 16);
}

__global__ void FillBlocksKernel(Q4Shape shape, int64_t bytes, uint32_t seed, uint8_t* blocks) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < bytes / 2; i += step) {
    const int in_block = static_cast<int>(2 * i % shape.BlockBytes());
    uint32_t v = Hash(i, seed) & 0xffff;
    if (in_block >= kCodeBytes) {
      const int in_meta = (in_block - kCodeBytes) % shape.MetaBytes();
      v = in_meta < 2 * kTileN ? 0x6800u | (v & 0x3ffu) : v & 0x0f0fu;  // scales from 2^11 on
    }
    reinterpret_cast<uint16_t*>(blocks)[i] = static_cast<uint16_t>(v);
  }
}

__device__ float Normal(uint64_t i, uint32_t seed) {
  const float u = (Hash(2 * i, seed) + 1.0f) * 0x1p-32f;
  const float v = Hash(2 * i + 1, seed) * 0x1p-32f;
  return sqrtf(-2.0f * logf(u)) * cospif(2.0f * v);
}

__global__ void FillLogitsKernel(float spread, int64_t count, uint32_t seed, float* out) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    out[i] = spread * Normal(i, seed);
  }
}

__global__ void FillNormalKernel(bool bf16, float mean, int64_t count, uint32_t seed, void* out) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    const float x = mean + Normal(i, seed);
    if (bf16) {
      static_cast<__nv_bfloat16*>(out)[i] = __float2bfloat16(x);
    } else {
      static_cast<__half*>(out)[i] = __float2half(x);
    }
  }
}

__global__ void OracleKernel(OracleArgs a) {
  const int64_t n = int64_t{blockIdx.x} * 8 + threadIdx.x / 32;
  const int64_t m = blockIdx.y;
  if (n >= a.n) return;
  double sum = 0.0;
  for (int64_t k = threadIdx.x % 32; k < a.k; k += 32) {
    const int64_t i = n * a.k + k;
    const int64_t g = n * a.groups + k / a.group;
    const int code = (a.codes[i / 2] >> (4 * (i % 2))) & 15;
    const int zero = a.zeros == nullptr ? 8 : a.zeros[g];
    const int64_t at = m * a.x_stride + k;
    const float x = a.bf16 ? __bfloat162float(static_cast<const __nv_bfloat16*>(a.x)[at])
                           : __half2float(static_cast<const __half*>(a.x)[at]);
    sum += static_cast<double>(code - zero) * a.scales[g] * x;
  }
  for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
  if (threadIdx.x % 32 == 0) a.y[m * a.n + n] = sum + (a.bias != nullptr ? a.bias[n] : 0.0);
}

__global__ void ReadKernel(const uint4* from, int64_t count, uint32_t* sink) {
  uint32_t sum = 0;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (; i + 7 * step < count; i += 8 * step) {
    uint4 v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = __ldcs(from + i + j * step);
#pragma unroll
    for (int j = 0; j < 8; ++j) sum ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  for (; i < count; i += step) sum ^= from[i].x;
  if (sum == 0x12345678u) *sink = sum;
}

}  // namespace

void FillRandomBlocks(const Q4Shape& shape, int64_t copies, uint32_t seed, uint8_t* blocks) {
  FillBlocksKernel<<<2048, 256>>>(shape, copies * shape.NumBytes(), seed, blocks);
  AWQ_CUDA(cudaGetLastError());
}

void FillNormal(bool bf16, int64_t count, uint32_t seed, void* out, float mean) {
  FillNormalKernel<<<2048, 256>>>(bf16, mean, count, seed, out);
  AWQ_CUDA(cudaGetLastError());
}

void FillLogits(float spread, int64_t count, uint32_t seed, float* out) {
  FillLogitsKernel<<<2048, 256>>>(spread, count, seed, out);
  AWQ_CUDA(cudaGetLastError());
}

void LinearOracle(const OracleArgs& args) {
  OracleKernel<<<dim3(static_cast<unsigned>((args.n + 7) / 8), static_cast<unsigned>(args.m)),
                 256>>>(args);
  AWQ_CUDA(cudaGetLastError());
}

void ReadAll(const uint8_t* from, int64_t bytes, int blocks, uint32_t* sink, cudaStream_t stream) {
  ReadKernel<<<static_cast<unsigned>(blocks), 512, 0, stream>>>(
      reinterpret_cast<const uint4*>(from), bytes / 16, sink);
  AWQ_CUDA(cudaGetLastError());
}

}  // namespace awq::cuda
