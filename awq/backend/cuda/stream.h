// The stream of a backend and the device memory that belongs to it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "awq/base/tensor.h"
#include "awq/ops/backend.h"

namespace awq::cuda {

// A stream; memory is taken and given back in its order. Lives as long as any of its memory.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  static std::shared_ptr<Stream> Make();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }
  // Uninitialised, 256-byte aligned; throws kOutOfMemory with the byte count.
  Tensor Alloc(DType type, const Shape& shape);
  // A copy of what lies on the host, which may go as soon as this returns; throws as Alloc.
  Tensor Upload(const TensorView& host);
  // The same of structures, as bytes.
  template <typename T>
  Tensor Upload(const std::vector<T>& host) {
    return Upload(TensorView(const_cast<T*>(host.data()), DType::kU8,
                             {static_cast<int64_t>(host.size() * sizeof(T))}));
  }
  // Page-locked memory of the host, at the same address for kernels; throws as Alloc.
  Tensor AllocHost(DType type, const Shape& shape) const;
  void Sync() const;
  MemoryUse Memory() const;

 private:
  Stream() = default;
  cudaStream_t stream_ = nullptr;
  cudaMemPool_t pool_ = nullptr;
};

// One piece of device memory that grows, at least twofold. Smaller pieces of before are kept:
// recordings may use them.
class GrowingBuffer {
 public:
  // zeroed: the memory is zero when it is new.
  GrowingBuffer(std::shared_ptr<Stream> stream, bool zeroed)
      : stream_(std::move(stream)), zeroed_(zeroed) {}
  // At least `bytes`; valid as long as this object lives.
  void* Take(int64_t bytes);

 private:
  std::shared_ptr<Stream> stream_;
  bool zeroed_;
  std::vector<Tensor> pieces_;  // the last is the largest
};

}  // namespace awq::cuda
