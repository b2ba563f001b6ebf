// The warpgroup's matrix instructions of sm_90a.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define AWQ_SM90A 1
#else
#define AWQ_SM90A 0
#endif

namespace awq::cuda {

// Shared memory as the B operand, in swizzled atoms of 1024 bytes: 8 rows of 128 bytes, a row 64
// inputs of one column. `address` is that of the first input.
__device__ inline uint64_t SwizzledRows(uint32_t address) {
  constexpr uint64_t kAtomStride = 1024 / 16;
  constexpr uint64_t kSwizzle128 = 1;
  return uint64_t{(address & 0x3ffff) >> 4} | (uint64_t{1} << 16) | (kAtomStride << 32) |
         (kSwizzle128 << 62);
}
// The same with a row 64 columns of one input; the next 64 columns are `block_bytes` behind.
__device__ inline uint64_t SwizzledInputs(uint32_t address, int block_bytes) {
  constexpr uint64_t kAtomStride = 1024 / 16;
  constexpr uint64_t kSwizzle128 = 1;
  return uint64_t{(address & 0x3ffff) >> 4} | (static_cast<uint64_t>(block_bytes / 16) << 16) |
         (kAtomStride << 32) | (kSwizzle128 << 62);
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
// After the wait for what wrote d: keeps the compiler from reading d before it.
template <int kCount>
__device__ inline void WgmmaDone(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
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

// d[64, kN] = a[64, 16] · b[16, kN], added to what d holds when kAdd: a in registers, 16 rows a
// warp in the order of mma.m16n8k16. b: SwizzledRows of its columns, or when kByInputs
// SwizzledInputs.
template <typename T, int kN, bool kAdd = true, bool kByInputs = false>
__device__ inline void Wgmma(float (&d)[kN / 2], const uint32_t (&a)[4], uint64_t b) {
  static_assert(kN == 16 || kN == 32 || kN == 64 || kN == 128 || kN == 256);
#if AWQ_SM90A
#define AWQ_D8(i)                                                                             \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define AWQ_LIST8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define AWQ_LIST16 AWQ_LIST8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define AWQ_LIST32                                                           \
  AWQ_LIST16                                                                 \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, " \
  "%30, %31"
#define AWQ_LIST64                                                           \
  AWQ_LIST32                                                                 \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, " \
  "%46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, "   \
  "%60, %61, %62, %63"
#define AWQ_LIST128                                                               \
  AWQ_LIST64                                                                      \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, " \
  "%79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, "   \
  "%94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, "      \
  "%107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, "      \
  "%119, %120, %121, %122, %123, %124, %125, %126, %127"
#define AWQ_WGMMA(size, list, operands, ...)                                                      \
  if constexpr (std::is_same_v<T, __half>) {                                                      \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" size "k16.f32.f16.f16 {" list "}, " operands \
:__VA_ARGS__                                                                                      \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(kAdd ? 1 : 0),         \
                   "n"(kByInputs ? 1 : 0));                                                       \
  } else {                                                                                        \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" size "k16.f32.bf16.bf16 {" list "}, "        \
                 operands:__VA_ARGS__                                                             \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(kAdd ? 1 : 0),         \
                   "n"(kByInputs ? 1 : 0));                                                       \
  }
  if constexpr (kN == 16) {
    AWQ_WGMMA("16", AWQ_LIST8, "{%8, %9, %10, %11}, %12, %13, 1, 1, %14;", AWQ_D8(0))
  } else if constexpr (kN == 32) {
    AWQ_WGMMA("32", AWQ_LIST16, "{%16, %17, %18, %19}, %20, %21, 1, 1, %22;", AWQ_D8(0), AWQ_D8(8))
  } else if constexpr (kN == 64) {
    AWQ_WGMMA("64", AWQ_LIST32, "{%32, %33, %34, %35}, %36, %37, 1, 1, %38;", AWQ_D8(0), AWQ_D8(8),
              AWQ_D8(16), AWQ_D8(24))
  } else if constexpr (kN == 128) {
    AWQ_WGMMA("128", AWQ_LIST64, "{%64, %65, %66, %67}, %68, %69, 1, 1, %70;", AWQ_D8(0), AWQ_D8(8),
              AWQ_D8(16), AWQ_D8(24), AWQ_D8(32), AWQ_D8(40), AWQ_D8(48), AWQ_D8(56))
  } else {
    AWQ_WGMMA("256", AWQ_LIST128, "{%128, %129, %130, %131}, %132, %133, 1, 1, %134;", AWQ_D8(0),
              AWQ_D8(8), AWQ_D8(16), AWQ_D8(24), AWQ_D8(32), AWQ_D8(40), AWQ_D8(48), AWQ_D8(56),
              AWQ_D8(64), AWQ_D8(72), AWQ_D8(80), AWQ_D8(88), AWQ_D8(96), AWQ_D8(104), AWQ_D8(112),
              AWQ_D8(120))
  }
#undef AWQ_WGMMA
#undef AWQ_LIST128
#undef AWQ_LIST64
#undef AWQ_LIST32
#undef AWQ_LIST16
#undef AWQ_LIST8
#undef AWQ_D8
#endif
}

// The same with 64 columns, of which and of a shared memory has SwizzledRows.
template <typename T, bool kAdd = true>
__device__ inline void WgmmaOfShared(float (&d)[32], uint64_t a, uint64_t b) {
#if AWQ_SM90A
#define AWQ_D8(i)                                                                             \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define AWQ_WGMMA(type)                                                                 \
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type              \
               " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, "    \
               "%15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, " \
               "%29, %30, %31}, %32, %33, %34, 1, 1, 0, 0;"                             \
               : AWQ_D8(0), AWQ_D8(8), AWQ_D8(16), AWQ_D8(24)                           \
               : "l"(a), "l"(b), "n"(kAdd ? 1 : 0))
  if constexpr (std::is_same_v<T, __half>) {
    AWQ_WGMMA("f16");
  } else {
    AWQ_WGMMA("bf16");
  }
#undef AWQ_WGMMA
#undef AWQ_D8
#endif
}

}  // namespace awq::cuda
