// Kernel launches, with or without leave to start before the predecessor has ended.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {

struct Queue {
  cudaStream_t stream = nullptr;
  // Programmatic dependent launch (sm_90): a kernel of ours starts while its predecessor runs, and
  // calls WaitForPreviousKernel before it touches what others write.
  bool overlap = false;
};

// cluster: thread blocks of a cluster (sm_90); one: no clusters.
template <typename... P, typename... A>
void LaunchClusters(const Queue& queue, void (*kernel)(P...), dim3 grid, dim3 cluster, dim3 block,
                    int shared, const A&... args) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = static_cast<size_t>(shared);
  config.stream = queue.stream;
  cudaLaunchAttribute attributes[2] = {};
  config.attrs = attributes;
  if (queue.overlap) {
    cudaLaunchAttribute& early = attributes[config.numAttrs++];
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
  }
  if (cluster.x * cluster.y * cluster.z > 1) {
    cudaLaunchAttribute& together = attributes[config.numAttrs++];
    together.id = cudaLaunchAttributeClusterDimension;
    together.val.clusterDim = {cluster.x, cluster.y, cluster.z};
  }
  [](cudaLaunchConfig_t& c, void (*k)(P...), P... values) {
    void* parameters[] = {static_cast<void*>(&values)...};
    AWQ_CUDA(cudaLaunchKernelExC(&c, reinterpret_cast<const void*>(k), parameters));
  }(config, kernel, static_cast<P>(args)...);
}

// All thread blocks run at once; false where that cannot be. Starts when the predecessor has ended.
template <typename... P, typename... A>
bool LaunchTogether(const Queue& queue, void (*kernel)(P...), dim3 grid, dim3 block, int shared,
                    const A&... args) {
  return [&](P... values) {
    void* parameters[] = {static_cast<void*>(&values)...};
    const cudaError_t status =
        cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(kernel), grid, block, parameters,
                                    static_cast<size_t>(shared), queue.stream);
    if (status == cudaErrorCooperativeLaunchTooLarge || status == cudaErrorNotSupported) {
      cudaGetLastError();  // it is not the next call's
      return false;
    }
    AWQ_CUDA(status);
    return true;
  }(static_cast<P>(args)...);
}

// How many clusters of so many thread blocks run on the device at once, perhaps none; `known`, 0 at
// first, keeps it.
inline int CountClusters(std::atomic<int>& known, const void* kernel, int threads, int shared,
                         int blocks) {
  int count = known;
  if (count > 0) return count;
  AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(shared);
  cudaLaunchAttribute together = {};
  together.id = cudaLaunchAttributeClusterDimension;
  together.val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
  config.attrs = &together;
  config.numAttrs = 1;
  AWQ_CUDA(cudaOccupancyMaxActiveClusters(&count, kernel, &config));
  known = count;
  return count;
}

template <typename... P, typename... A>
void Launch(const Queue& queue, void (*kernel)(P...), dim3 grid, dim3 block, int shared,
            const A&... args) {
  LaunchClusters(queue, kernel, grid, dim3(1), block, shared, args...);
}

}  // namespace awq::cuda
