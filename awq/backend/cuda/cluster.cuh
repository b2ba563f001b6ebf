// Clusters of thread blocks (sm_90), which see each other's shared memory; a launch without one is
// a cluster of one block.
#pragma once

#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

__device__ inline uint32_t ClusterRank() {
  uint32_t rank = 0;
#if AWQ_SM90
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return rank;
}
// Of this cluster in the grid.
__device__ inline int ClusterIndex() {
  uint32_t index = blockIdx.x;
#if AWQ_SM90
  asm("mov.u32 %0, %%clusterid.x;" : "=r"(index));
#endif
  return static_cast<int>(index);
}
// Of all threads of all its blocks that have not ended.
__device__ inline void ClusterSync() {
#if AWQ_SM90
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
// ClusterSync in two halves: tells the others that this block has begun, with its barriers as
// BarrierInitFence left them; waits until all have.
__device__ inline void ClusterArrive() {
#if AWQ_SM90
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}
__device__ inline void ClusterWait() {
#if AWQ_SM90
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
// In the shared memory of block `rank` of this cluster, what is this block's address `at`.
__device__ inline uint32_t ClusterAddress(uint32_t at, int rank) {
  uint32_t address = at;
#if AWQ_SM90
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(at), "r"(rank));
#endif
  return address;
}
// Stores 16 bytes, and counts them on a barrier of the block that they go to: ClusterAddresses.
__device__ inline void ClusterStore(uint32_t to, uint32_t bar, const float (&v)[4]) {
#if AWQ_SM90
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%2,%3,%4,%5}, [%1];" ::
          "r"(to),
      "r"(bar), "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3])
      : "memory");
#endif
}
// BoxCopy to the same places of both blocks of a cluster of two, counted on both their barriers.
__device__ inline void BoxCopyToBoth(uint32_t to, const void* map, int column, int row,
                                     uint32_t bar) {
#if AWQ_SM90
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
      "l"(map), "r"(column), "r"(row), "r"(bar), "h"(static_cast<uint16_t>(3))
      : "memory");
#endif
}
// Arrives on a barrier at a ClusterAddress, when this thread's reads are over. (Of the cluster's
// scope it would wait for stores to global memory too: 4 µs of 25 in held_q4.)
__device__ inline void ClusterBarrierArrive(uint32_t bar) {
#if AWQ_SM90
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(bar) : "memory");
#endif
}
// What lies at this block's address `at` in the shared memory of block `rank` of this cluster.
__device__ inline uint32_t ClusterLoadWord(uint32_t at, uint32_t rank) {
  uint32_t v = 0;
#if AWQ_SM90
  asm volatile(
      "{\n.reg .b32 a;\nmapa.shared::cluster.u32 a, %1, %2;\nld.shared::cluster.u32 %0, [a];\n}"
      : "=r"(v)
      : "r"(at), "r"(rank)
      : "memory");
#endif
  return v;
}
__device__ inline float ClusterLoad(uint32_t at, uint32_t rank) {
  return __uint_as_float(ClusterLoadWord(at, rank));
}
__device__ inline float2 ClusterLoadPair(uint32_t at, uint32_t rank) {
  float2 v = {};
#if AWQ_SM90
  asm volatile(
      "{\n.reg .b32 a;\nmapa.shared::cluster.u32 a, %2, %3;\n"
      "ld.shared::cluster.v2.f32 {%0,%1}, [a];\n}"
      : "=f"(v.x), "=f"(v.y)
      : "r"(at), "r"(rank)
      : "memory");
#endif
  return v;
}
// Where block `rank` of this cluster keeps what this block has at p, in shared memory. That block
// must not end before it has been read.
template <typename T>
__device__ inline const T* OfBlock(const T* p, int rank) {
#if AWQ_SM90
  const T* out;
  asm("mapa.u64 %0, %1, %2;" : "=l"(out) : "l"(p), "r"(rank));
  return out;
#else
  return p;
#endif
}

}  // namespace awq::cuda
