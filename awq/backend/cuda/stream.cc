#include "awq/backend/cuda/stream.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {

std::shared_ptr<Stream> Stream::Make() {
  std::shared_ptr<Stream> out(new Stream);
  AWQ_CUDA(cudaStreamCreateWithFlags(&out->stream_, cudaStreamNonBlocking));
  // Memory given back stays with the process: taking it again is then a matter of microseconds.
  int device = 0;
  AWQ_CUDA(cudaGetDevice(&device));
  AWQ_CUDA(cudaDeviceGetDefaultMemPool(&out->pool_, device));
  uint64_t keep = UINT64_MAX;
  AWQ_CUDA(cudaMemPoolSetAttribute(out->pool_, cudaMemPoolAttrReleaseThreshold, &keep));
  return out;
}

Stream::~Stream() {
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

void Stream::Sync() const { AWQ_CUDA(cudaStreamSynchronize(stream_)); }

MemoryUse Stream::Memory() const {
  const auto get = [&](cudaMemPoolAttr attribute) {
    uint64_t bytes = 0;
    AWQ_CUDA(cudaMemPoolGetAttribute(pool_, attribute, &bytes));
    return static_cast<int64_t>(bytes);
  };
  Sync();
  size_t free = 0;
  size_t total = 0;
  AWQ_CUDA(cudaMemGetInfo(&free, &total));
  const MemoryUse out{
      .held = get(cudaMemPoolAttrUsedMemCurrent),
      .most = get(cudaMemPoolAttrUsedMemHigh),
      .outside = static_cast<int64_t>(total - free) - get(cudaMemPoolAttrReservedMemCurrent)};
  uint64_t begin_anew = 0;
  AWQ_CUDA(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrUsedMemHigh, &begin_anew));
  return out;
}

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

Tensor Stream::Upload(const TensorView& host) {
  Tensor out = Alloc(host.dtype, host.shape);
  AWQ_CUDA(cudaMemcpyAsync(out.view().data, host.data, static_cast<size_t>(host.NumBytes()),
                           cudaMemcpyHostToDevice, stream_));
  Sync();
  return out;
}

Tensor Stream::AllocHost(DType type, const Shape& shape) const {
  TensorView view(nullptr, type, shape);
  const auto bytes = static_cast<size_t>(std::max<int64_t>(1, view.NumBytes()));
  const cudaError_t status = cudaMallocHost(&view.data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky
    Fail(ErrorCode::kOutOfMemory, "backend cuda: cannot lock ", bytes,
         " bytes of the host's memory for ", NameOf(type), " ", shape);
  }
  AWQ_CUDA(status);
  return Tensor(view, std::shared_ptr<const void>(view.data, [](const void* data) {
                  cudaFreeHost(const_cast<void*>(data));
                }));
}

void* GrowingBuffer::Take(int64_t bytes) {
  constexpr int64_t kSmallest = int64_t{1} << 20;
  const int64_t size = pieces_.empty() ? 0 : pieces_.back().view().dim(0);
  if (pieces_.empty() || size < bytes) {
    pieces_.push_back(stream_->Alloc(DType::kU8, {std::max({bytes, 2 * size, kSmallest})}));
    if (zeroed_) {
      const TensorView& piece = pieces_.back().view();
      AWQ_CUDA(
          cudaMemsetAsync(piece.data, 0, static_cast<size_t>(piece.NumBytes()), stream_->get()));
    }
  }
  return pieces_.back().view().data;
}

}  // namespace awq::cuda
