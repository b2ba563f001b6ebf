// Decoder layers for one token as one kernel (fused_layers.cuh), on GPUs of sm_90 alone.
#pragma once

#include <memory>
#include <span>

#include "awq/backend/cuda/fused_kernels.h"
#include "awq/backend/cuda/fused_plan.h"
#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/stream.h"
#include "awq/ops/backend.h"

namespace awq::cuda {

struct FusedParts;

class FusedDecoder : public PackedDecoder {
 public:
  // Null where the kernel does not suit the layers or the device.
  static std::unique_ptr<FusedDecoder> Make(Stream& stream, const DeviceLimits& device,
                                            const DecoderArgs& args,
                                            std::span<const DecoderWeights> layers);
  // Arguments have passed CheckDecode.
  bool Run(const Queue& queue, const Batch& batch, std::span<const PagedKv> caches,
           const TensorView& residual);

 private:
  FusedDecoder(Stream& stream, const DecoderArgs& args, std::span<const DecoderWeights> layers,
               std::span<const FusedParts> parts, const FusedShape& shape, const FusedPlan& plan);
  // What the kernel is told of routed experts.
  void AddExperts(Stream& stream, const DecoderArgs& args, std::span<const FusedParts> parts);
  // And of sandwiches; reaches: of each layer.
  void AddSandwiches(Stream& stream, const DecoderArgs& args,
                     std::span<const DecoderWeights> layers, std::span<const int> reaches);

  int blocks_;
  FusedShape shape_;
  FusedArgs args_;  // but for what a call brings
  Tensor layers_, experts_, routers_, sandwiches_, words_, epoch_;
  bool refused_ = false;  // the driver cannot run all thread blocks at once
};

}  // namespace awq::cuda
