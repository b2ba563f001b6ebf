// The warpgroup's matrix instructions of sm_90a.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define AWQ_SM90A 1
#else
#define AWQ_SM90A 0
#endif

namespace awq::cuda {

// Shared memory as the B operand: rows of 128 bytes, 8 of them a swizzled atom of 1024 bytes.
__device__ inline uint64_t SwizzledRows(uint32_t address) {
  constexpr uint64_t kAtomStride = 1024 / 16;
  constexpr uint64_t kSwizzle128 = 1;
  return uint64_t{(address & 0x3ffff) >> 4} | (uint64_t{1} << 16) | (kAtomStride << 32) |
         (kSwizzle128 << 62);
}

__device__ inline void WgmmaFence() {
#if AWQ_SM90A
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
__device__ inline void WgmmaCommit() {
#if AWQ_SM90A
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// Until at most kPending groups are unfinished.
template <int kPending>
__device__ inline void WgmmaWait() {
#if AWQ_SM90A
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
#endif
}
template <int kRegisters>
__device__ inline void GiveRegisters() {
#if AWQ_SM90A
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}
template <int kRegisters>
__device__ inline void TakeRegisters() {
#if AWQ_SM90A
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}

// d[64, kN] += a[64, 16] · b[16, kN]: a in registers, 16 rows a warp in the order of mma.m16n8k16.
template <typename T, int kN>
__device__ void Wgmma(float (&d)[kN / 2], const uint32_t (&a)[4], uint64_t b);

#define AWQ_D8(d, i)                                                                          \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])

template <>
__device__ inline void Wgmma<__half, 16>(float (&d)[8], const uint32_t (&a)[4], uint64_t b) {
#if AWQ_SM90A
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7"
      "}, {%8, %9, %10, %11}, %12, 1, 1, 1, 0;"
      : AWQ_D8(d, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}
template <>
__device__ inline void Wgmma<__nv_bfloat16, 16>(float (&d)[8], const uint32_t (&a)[4], uint64_t b) {
#if AWQ_SM90A
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7"
      "}, {%8, %9, %10, %11}, %12, 1, 1, 1, 0;"
      : AWQ_D8(d, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}
template <>
__device__ inline void Wgmma<__half, 32>(float (&d)[16], const uint32_t (&a)[4], uint64_t b) {
#if AWQ_SM90A
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, "
      "%8, %9, %10, %11, %12, %13, %14, %15"
      "}, {%16, %17, %18, %19}, %20, 1, 1, 1, 0;"
      : AWQ_D8(d, 0), AWQ_D8(d, 8)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}
template <>
__device__ inline void Wgmma<__nv_bfloat16, 32>(float (&d)[16], const uint32_t (&a)[4],
                                                uint64_t b) {
#if AWQ_SM90A
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, "
      "%8, %9, %10, %11, %12, %13, %14, %15"
      "}, {%16, %17, %18, %19}, %20, 1, 1, 1, 0;"
      : AWQ_D8(d, 0), AWQ_D8(d, 8)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}
template <>
__device__ inline void Wgmma<__half, 64>(float (&d)[32], const uint32_t (&a)[4], uint64_t b) {
#if AWQ_SM90A
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, "
      "%8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, "
      "%24, %25, %26, %27, %28, %29, %30, %31"
      "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 0;"
      : AWQ_D8(d, 0), AWQ_D8(d, 8), AWQ_D8(d, 16), AWQ_D8(d, 24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}
template <>
__device__ inline void Wgmma<__nv_bfloat16, 64>(float (&d)[32], const uint32_t (&a)[4],
                                                uint64_t b) {
#if AWQ_SM90A
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, "
      "%8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, "
      "%24, %25, %26, %27, %28, %29, %30, %31"
      "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 0;"
      : AWQ_D8(d, 0), AWQ_D8(d, 8), AWQ_D8(d, 16), AWQ_D8(d, 24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}
template <>
__device__ inline void Wgmma<__half, 128>(float (&d)[64], const uint32_t (&a)[4], uint64_t b) {
#if AWQ_SM90A
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, "
      "%8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, "
      "%24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, "
      "%40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, "
      "%56, %57, %58, %59, %60, %61, %62, %63"
      "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 0;"
      : AWQ_D8(d, 0), AWQ_D8(d, 8), AWQ_D8(d, 16), AWQ_D8(d, 24), AWQ_D8(d, 32), AWQ_D8(d, 40),
        AWQ_D8(d, 48), AWQ_D8(d, 56)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}
template <>
__device__ inline void Wgmma<__nv_bfloat16, 128>(float (&d)[64], const uint32_t (&a)[4],
                                                 uint64_t b) {
#if AWQ_SM90A
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, "
      "%8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, "
      "%24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, "
      "%40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, "
      "%56, %57, %58, %59, %60, %61, %62, %63"
      "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 0;"
      : AWQ_D8(d, 0), AWQ_D8(d, 8), AWQ_D8(d, 16), AWQ_D8(d, 24), AWQ_D8(d, 32), AWQ_D8(d, 40),
        AWQ_D8(d, 48), AWQ_D8(d, 56)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

#undef AWQ_D8

}  // namespace awq::cuda
