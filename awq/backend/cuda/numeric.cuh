// Conversions between f32 and the types that tensors store, and the choice of a kernel by type.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>

#include "awq/base/dtype.h"
#include "awq/base/error.h"

namespace awq::cuda {

__device__ inline float ToFloat(float v) { return v; }
__device__ inline float ToFloat(__half v) { return __half2float(v); }
__device__ inline float ToFloat(__nv_bfloat16 v) { return __bfloat162float(v); }
__device__ inline float ToFloat(__nv_fp8_e4m3 v) { return static_cast<float>(v); }

template <typename T>
__device__ inline T FromFloat(float v);
template <>
__device__ inline float FromFloat<float>(float v) {
  return v;
}
template <>
__device__ inline __half FromFloat<__half>(float v) {
  return __float2half_rn(v);
}
template <>
__device__ inline __nv_bfloat16 FromFloat<__nv_bfloat16>(float v) {
  return __float2bfloat16_rn(v);
}
template <>
__device__ inline __nv_fp8_e4m3 FromFloat<__nv_fp8_e4m3>(float v) {
  return __nv_fp8_e4m3(v);  // to nearest, saturated
}

// V neighbours at once: one load of 16 bytes for eight 16-bit values.
template <typename T, int V>
struct alignas(sizeof(T) * V) Pack {
  T v[V];
};
template <typename T, int V>
__device__ inline void LoadFloats(const T* from, float (&to)[V]) {
  const auto pack = *reinterpret_cast<const Pack<T, V>*>(from);
#pragma unroll
  for (int i = 0; i < V; ++i) to[i] = ToFloat(pack.v[i]);
}
template <typename T, int V>
__device__ inline void StoreFloats(T* to, const float (&from)[V]) {
  Pack<T, V> pack;
#pragma unroll
  for (int i = 0; i < V; ++i) pack.v[i] = FromFloat<T>(from[i]);
  *reinterpret_cast<Pack<T, V>*>(to) = pack;
}

// Of all lanes of a warp, or of each run of kLanes of them.
template <int kLanes = 32, typename T>
__device__ inline T WarpSum(T v) {
#pragma unroll
  for (int lanes = kLanes / 2; lanes > 0; lanes /= 2) v += __shfl_xor_sync(~0u, v, lanes);
  return v;
}
// Of the lanes up to this one.
template <typename T>
__device__ inline T WarpSumUpTo(T v) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const T left = __shfl_up_sync(~0u, v, lanes);
    if (lane >= lanes) v += left;
  }
  return v;
}
template <int kLanes = 32>
__device__ inline float WarpMax(float v) {
#pragma unroll
  for (int lanes = kLanes / 2; lanes > 0; lanes /= 2) {
    v = fmaxf(v, __shfl_xor_sync(~0u, v, lanes));
  }
  return v;
}

template <typename T>
struct Type {
  using type = T;
};
// Calls f(Type<T>()) for the T of a float type.
template <typename F>
void WithType(DType type, F&& f) {
  switch (type) {
    case DType::kF32:
      return f(Type<float>());
    case DType::kF16:
      return f(Type<__half>());
    case DType::kBF16:
      return f(Type<__nv_bfloat16>());
    default:
      Fail(ErrorCode::kUnsupported, "backend cuda: elements of type ", NameOf(type),
           "; supported: F32, F16, BF16");
  }
}

// The same for the types that a KV cache may have.
template <typename F>
void WithCacheType(DType type, F&& f) {
  if (type == DType::kF8E4M3) return f(Type<__nv_fp8_e4m3>());
  WithType(type, f);
}

// 2^x; 0 for -inf.
__device__ inline float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// tanh, within about 2^-23.
__device__ inline float Tanh(float x) {
  constexpr float kTwoLog2E = 2.885390081777927f;
  return 1.0f - __fdividef(2.0f, Exp2(x * kTwoLog2E) + 1.0f);
}

}  // namespace awq::cuda
