#include "awq/backend/cuda/stream.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {

std::shared_ptr<Stream> Stream::Make() {
  std::shared_ptr<Stream> out(new Stream);
  AWQ_CUDA(cudaStreamCreateWithFlags(&out->stream_, cudaStreamNonBlocking));
  // Memory given back stays with the process: taking it again is then a matter of microseconds.
  cudaMemPool_t pool = nullptr;
  int device = 0;
  AWQ_CUDA(cudaGetDevice(&device));
  AWQ_CUDA(cudaDeviceGetDefaultMemPool(&pool, device));
  uint64_t keep = UINT64_MAX;
  AWQ_CUDA(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep));
  return out;
}

Stream::~Stream() {
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

void Stream::Sync() const { AWQ_CUDA(cudaStreamSynchronize(stream_)); }

Tensor Stream::Alloc(DType type, const Shape& shape) {
  TensorView view(nullptr, type, shape, Device::kCuda);
  const auto bytes = static_cast<size_t>(std::max<int64_t>(1, view.NumBytes()));
  const cudaError_t status = cudaMallocAsync(&view.data, bytes, stream_);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky: the caller may go on with less
    size_t free = 0;
    size_t total = 0;
    cudaMemGetInfo(&free, &total);
    Fail(ErrorCode::kOutOfMemory, "backend cuda: cannot allocate ", bytes, " bytes for ",
         NameOf(type), " ", shape, "; ", free, " of ", total, " bytes are free");
  }
  AWQ_CUDA(status);
  return Tensor(
      view, std::shared_ptr<const void>(view.data, [self = shared_from_this()](const void* data) {
        cudaFreeAsync(const_cast<void*>(data), self->stream_);
      }));
}

void* GrowingBuffer::Take(int64_t bytes) {
  if (memory_.empty() || memory_.view().dim(0) < bytes) {
    memory_ = Tensor();
    memory_ = stream_->Alloc(DType::kU8, {std::max<int64_t>(bytes, 1 << 20)});
    if (zeroed_) {
      AWQ_CUDA(cudaMemsetAsync(memory_.view().data, 0,
                               static_cast<size_t>(memory_.view().NumBytes()), stream_->get()));
    }
  }
  return memory_.view().data;
}

}  // namespace awq::cuda
