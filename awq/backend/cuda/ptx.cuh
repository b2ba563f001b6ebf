// The instructions that C++ has no words for: mma, bulk copies, barriers, dependent launch; those
// of clusters: cluster.cuh.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define AWQ_SM90 1
#else
#define AWQ_SM90 0
#endif
// bf16 arithmetic, asynchronous copies and the wider mma; sm_75 does without.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define AWQ_SM80 1
#else
#define AWQ_SM80 0
#endif

namespace awq::cuda {

__device__ inline uint32_t SharedAddress(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// (q & mask) | bits in one instruction.
__device__ inline uint32_t AndOr(uint32_t q, uint32_t mask, uint32_t bits) {
  uint32_t out;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(out) : "r"(q), "r"(mask), "r"(bits));
  return out;
}

// d[16, 8] += a[16, 16] · b[16, 8]; f32 accumulate.
template <typename T>
__device__ inline void Mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
template <>
__device__ inline void Mma<__half>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                   uint32_t b1) {
#if AWQ_SM80
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(b0));
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}
// Not on sm_75, whose tensor cores do not know bf16.
template <>
__device__ inline void Mma<__nv_bfloat16>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                          uint32_t b1) {
#if AWQ_SM80
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  __trap();
#endif
}

// Four 8 x 8 matrices of 16-bit elements: lane l gives the address of row l % 8 of matrix l / 8 and
// receives of each matrix two neighbours of row l / 4, or of column l / 4 when transposed.
__device__ inline void LoadMatrices(uint32_t address, uint32_t (&out)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}
__device__ inline void LoadMatricesTransposed(uint32_t address, uint32_t (&out)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

// ---- mbarrier, bulk copy (sm_90)
__device__ inline void BarrierInit(uint32_t bar, uint32_t count) {
#if AWQ_SM90
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(count) : "memory");
#endif
}
// Makes initialised barriers visible to the copy engine and to the cluster.
__device__ inline void BarrierInitFence() {
#if AWQ_SM90
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
__device__ inline void BarrierExpect(uint32_t bar, uint32_t bytes) {
#if AWQ_SM90
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes)
               : "memory");
#endif
}
__device__ inline void BarrierArrive(uint32_t bar) {
#if AWQ_SM90
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bar) : "memory");
#endif
}
__device__ inline void BarrierWait(uint32_t bar, uint32_t parity) {
#if AWQ_SM90
  asm volatile(
      "{\n.reg .pred p;\nL%=:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
      "@!p bra L%=;\n}" ::"r"(bar),
      "r"(parity)
      : "memory");
#endif
}
__device__ inline void BulkCopy(uint32_t to, const void* from, uint32_t bytes, uint32_t bar) {
#if AWQ_SM90
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(bar)
      : "memory");
#endif
}
// Boxes of a tensor map (tensor_map.h), counted on the barrier.
__device__ inline void PrefetchMap(const void* map) {
#if AWQ_SM90
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
#endif
}
// Before a map in global memory that the host wrote is used: the copy engine may know an older one
// of the same address.
__device__ inline void AcquireMap(const void* map) {
#if AWQ_SM90
  asm volatile("fence.proxy.tensormap::generic.acquire.sys [%0], 128;" ::"l"(map) : "memory");
#endif
}
__device__ inline void BoxCopy(uint32_t to, const void* map, int column, int row, uint32_t bar) {
#if AWQ_SM90
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%2, %3}], [%4];" ::"r"(to),
      "l"(map), "r"(column), "r"(row), "r"(bar)
      : "memory");
#endif
}
__device__ inline void BoxCopy(uint32_t to, const void* map, int x, int y, int z, uint32_t bar) {
#if AWQ_SM90
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%2, %3, %4}], [%5];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(bar)
      : "memory");
#endif
}

__device__ inline void BoxCopy(uint32_t to, const void* map, int x, int y, int z, int w,
                               uint32_t bar) {
#if AWQ_SM90
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%2, %3, %4, %5}], [%6];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(w), "r"(bar)
      : "memory");
#endif
}

__device__ inline void StoreShared(uint32_t to, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(to), "r"(a), "r"(b), "r"(c), "r"(d)
               : "memory");
}
__device__ inline void StoreSharedWord(uint32_t to, uint32_t v) {
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(v) : "memory");
}
__device__ inline void StoreSharedPair(uint32_t to, float a, float b) {
  asm volatile("st.shared.v2.f32 [%0], {%1,%2};" ::"r"(to), "f"(a), "f"(b) : "memory");
}
template <typename W>  // of 32 bits
__device__ inline void LoadShared(uint32_t from, W (&to)[4]) {
  uint32_t v[4];
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
               : "r"(from)
               : "memory");
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = reinterpret_cast<const W&>(v[i]);
}
template <typename W>  // an integer of 8, 16 or 32 bits
__device__ inline W LoadSharedOne(uint32_t from) {
  uint32_t v;
  if constexpr (sizeof(W) == 4) {
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(from) : "memory");
  } else if constexpr (sizeof(W) == 2) {
    uint16_t half;
    asm volatile("ld.shared.u16 %0, [%1];" : "=h"(half) : "r"(from) : "memory");
    v = half;
  } else {
    asm volatile("ld.shared.u8 %0, [%1];" : "=r"(v) : "r"(from) : "memory");
  }
  return static_cast<W>(v);
}
// Keeps a value in its register, where the compiler would work it out again at each use.
template <typename W>
__device__ inline void Keep(W& v) {
  asm volatile("" : "+r"(v));
}
// Makes this thread's stores to shared memory visible to wgmma and the copy engine.
__device__ inline void AsyncProxyFence() {
#if AWQ_SM90
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// True in one lane of the warp; the compiler then knows that a single thread is active.
__device__ inline bool ElectOne() {
  uint32_t chosen = 0;
#if AWQ_SM90
  asm volatile("{\n.reg .pred p;\nelect.sync _|p, 0xffffffff;\nselp.u32 %0, 1, 0, p;\n}"
               : "=r"(chosen));
#endif
  return chosen != 0;
}

// Of `threads` threads, whole warps, that name the same barrier; 0 is __syncthreads'.
__device__ inline void NamedBarrier(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// ---- cp.async (sm_80); sm_75 copies through registers
// Copies `bytes`, 16 or 0, and fills 16 up with zeros.
__device__ inline void AsyncCopy16(uint32_t to, const void* from, int bytes) {
#if AWQ_SM80
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
#else
  const uint4 v = bytes == 0 ? make_uint4(0, 0, 0, 0) : *static_cast<const uint4*>(from);
  StoreShared(to, v.x, v.y, v.z, v.w);
#endif
}
__device__ inline void AsyncCopy4(uint32_t to, const void* from) {
#if AWQ_SM80
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory");
#else
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(*static_cast<const uint32_t*>(from))
               : "memory");
#endif
}
__device__ inline void AsyncCommit() {
#if AWQ_SM80
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int kPending>
__device__ inline void AsyncWait() {
#if AWQ_SM80
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

// Brings a line of global memory to L2.
__device__ inline void Prefetch(const void* at) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
}

// ---- programmatic dependent launch (sm_90; no effect in an ordinary launch)
__device__ inline void AllowNextKernel() {
#if AWQ_SM90
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ inline void WaitForPreviousKernel() {
#if AWQ_SM90
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// For kernels that have nothing to do before their inputs are there.
__device__ inline void BeginKernel() {
  AllowNextKernel();
  WaitForPreviousKernel();
}

}  // namespace awq::cuda
