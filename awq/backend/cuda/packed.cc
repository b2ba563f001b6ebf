#include "awq/backend/cuda/packed.h"

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {
namespace {

// Host memory may go as soon as this returns.
Tensor Upload(Stream& stream, const TensorView& host) {
  Tensor out = stream.Alloc(host.dtype, host.shape);
  AWQ_CUDA(cudaMemcpyAsync(out.view().data, host.data, static_cast<size_t>(host.NumBytes()),
                           cudaMemcpyHostToDevice, stream.get()));
  stream.Sync();
  return out;
}

}  // namespace

DenseWeight::DenseWeight(Stream& stream, const TensorView& w, DType type)
    : PackedWeight(w.dim(0), w.dim(1)) {
  data_ = w.dtype == type && w.IsContiguous() ? Upload(stream, w)
                                              : Upload(stream, ConvertTo(w, type).view());
}

bool Q4Weight::Supports(const QuantScheme& scheme, int64_t n, int64_t k) {
  if (scheme.bits != 4) return false;
  try {
    MakeQ4Shape(scheme, n, k);
    return true;
  } catch (const Error&) {
    return false;
  }
}

Q4Weight::Q4Weight(Stream& stream, const QuantizedWeight& w) : PackedWeight(w.n(), w.k()) {
  HostBlocks blocks = PackQ4(w);
  shape_ = blocks.shape;
  scale_ = blocks.scale;
  data_ = Upload(stream, TensorView(blocks.bytes.data(), DType::kU8,
                                    {static_cast<int64_t>(blocks.bytes.size())}));
}

PlainWeight::PlainWeight(Stream& stream, const QuantizedWeight& w)
    : PackedWeight(w.n(), w.k()), group_(w.scheme.GroupSize(w.k())) {
  const int64_t groups = w.scheme.Groups(w.k());
  const Tensor codes = MakeTensor(DType::kU8, {w.n(), w.k()});
  const Tensor zeros = MakeTensor(DType::kU8, {w.n(), groups});
  for (int64_t r = 0; r < w.n(); ++r) {
    for (int64_t c = 0; c < w.k(); ++c) {
      codes.As<uint8_t>()[r * w.k() + c] = static_cast<uint8_t>(w.Code(r, c));
    }
    for (int64_t g = 0; g < groups; ++g) {
      zeros.As<uint8_t>()[r * groups + g] = static_cast<uint8_t>(w.Zero(r, g));
    }
  }
  codes_ = Upload(stream, codes.view());
  zeros_ = Upload(stream, zeros.view());
  scales_ = Upload(stream, ConvertTo(w.scales.view(), DType::kF32).view());
}

}  // namespace awq::cuda
