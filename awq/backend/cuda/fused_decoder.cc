#include "awq/backend/cuda/fused_decoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/packed.h"

namespace awq::cuda {
namespace {

using Linears = std::array<const Q4Weight*, kFusedLinears>;

// Of each layer; none where a weight is not of 4 bits.
std::vector<Linears> LinearsOf(std::span<const DecoderWeights> layers) {
  std::vector<Linears> out;
  for (const DecoderWeights& layer : layers) {
    const PackedWeight* all[] = {layer.qkv, layer.o, layer.gate_up, layer.down};
    Linears& linears = out.emplace_back();
    for (size_t i = 0; i < kFusedLinears; ++i) {
      linears[i] = dynamic_cast<const Q4Weight*>(all[i]);
      if (linears[i] == nullptr) return {};
    }
  }
  return out;
}

bool AreAlike(const Q4Shape& a, const Q4Shape& b) {
  return a.has_zeros == b.has_zeros && a.GroupsPerBlock() == 1 && b.GroupsPerBlock() == 1;
}

// None where layers are not all of one shape, or there are none.
std::optional<FusedShape> ShapeOf(const DecoderArgs& args, std::span<const Linears> layers) {
  std::optional<FusedShape> shape;
  for (const Linears& linears : layers) {
    if (!linears[kFusedGateUp]->gated()) return std::nullopt;
    const Q4Weight& down = *linears[kFusedDown];
    const FusedShape here{.num_layers = static_cast<int>(layers.size()),
                          .hidden = static_cast<int>(down.n()),
                          .heads = static_cast<int>(args.heads),
                          .kv_heads = static_cast<int>(args.kv_heads),
                          .head_size = static_cast<int>(args.head_size),
                          .ffn = static_cast<int>(down.k()),
                          .block_bytes = down.shape().BlockBytes(),
                          .has_zeros = down.shape().has_zeros};
    const auto q_size = args.heads * args.head_size;
    const auto is = [&](FusedLinear i, int64_t n, int64_t k) {
      AWQ_CHECK(linears[i]->n() == n && linears[i]->k() == k, kInternal, "prepare_decoder: linear ",
                static_cast<int>(i), ": expected [", n, ", ", k, "], found [", linears[i]->n(),
                ", ", linears[i]->k(), "]");
    };
    is(kFusedQkv, q_size + 2 * args.kv_heads * args.head_size, down.n());
    is(kFusedO, down.n(), q_size);
    is(kFusedGateUp, 2 * down.k(), down.n());
    for (const Q4Weight* linear : linears) {
      if (!AreAlike(linear->shape(), down.shape())) return std::nullopt;
    }
    if (shape && !(here == *shape)) return std::nullopt;
    shape = here;
  }
  return shape;
}

// What the kernel is told of each layer.
std::vector<FusedLayer> TableOf(std::span<const DecoderWeights> layers,
                                std::span<const Linears> linears) {
  std::vector<FusedLayer> out;
  for (size_t l = 0; l < layers.size(); ++l) {
    const DecoderWeights& layer = layers[l];
    const TensorView* biases[] = {&layer.qkv_bias, &layer.o_bias, &layer.gate_up_bias,
                                  &layer.down_bias};
    FusedLayer& entry = out.emplace_back();
    for (size_t i = 0; i < kFusedLinears; ++i) {
      entry.weights[i] = linears[l][i]->blocks();
      entry.scales[i] = linears[l][i]->scale();
      entry.biases[i] = biases[i]->As<const float>();
    }
    entry.norms[0] = layer.attn_norm.As<const float>();
    entry.norms[1] = layer.ffn_norm.As<const float>();
    entry.head_norms[0] = layer.q_norm.As<const float>();
    entry.head_norms[1] = layer.k_norm.As<const float>();
  }
  return out;
}

// So many floats as whole lines of L2.
int64_t LinesOf(int floats) { return (floats + 31) / 32 * 32; }

FusedKernel KernelOf(DType cache, const FusedShape& s) {
  const int group = s.heads / s.kv_heads;
  const int inputs = std::max(s.hidden, s.heads * s.head_size);
  if (cache == DType::kF16) return FusedKernelF16(s.head_size, group, inputs);
  if (cache == DType::kBF16) return FusedKernelBF16(s.head_size, group, inputs);
  if (cache == DType::kF8E4M3) return FusedKernelE4M3(s.head_size, group, inputs);
  return nullptr;
}

}  // namespace

std::unique_ptr<FusedDecoder> FusedDecoder::Make(Stream& stream, const DeviceLimits& device,
                                                 const DecoderArgs& args,
                                                 std::span<const DecoderWeights> layers) {
  if (device.arch != 90) return nullptr;
  const std::vector<Linears> linears = LinearsOf(layers);
  const std::optional<FusedShape> shape = ShapeOf(args, linears);
  if (!shape) return nullptr;
  const std::optional<FusedPlan> plan = PlanFused(*shape, device.sms, device.shared_per_block);
  if (!plan) return nullptr;
  return std::unique_ptr<FusedDecoder>(
      new FusedDecoder(stream, args, layers, TableOf(layers, linears), *shape, *plan));
}

FusedDecoder::FusedDecoder(Stream& stream, const DecoderArgs& args,
                           std::span<const DecoderWeights> layers,
                           const std::vector<FusedLayer>& table, const FusedShape& shape,
                           const FusedPlan& plan)
    : PackedDecoder(layers),
      blocks_(plan.blocks),
      shape_(shape),
      args_{},
      layers_(stream.Upload(table)),
      epoch_(stream.Upload(std::vector<uint32_t>{1})) {
  // The vectors that thread blocks exchange: of an epoch before the first.
  const int q_size = shape.heads * shape.head_size;
  const int partial = shape.heads * plan.splits * (shape.head_size + 2);
  const int sizes[] = {q_size + 2 * shape.kv_heads * shape.head_size,
                       partial,
                       q_size,
                       shape.hidden,
                       shape.ffn,
                       shape.hidden};
  float** const places[] = {&args_.qkv,      &args_.partial,    &args_.mixed,
                            &args_.attended, &args_.ffn_hidden, &args_.fed};
  int64_t total = 0;
  for (int size : sizes) total += LinesOf(size);
  words_ = stream.Alloc(DType::kF32, {total});
  AWQ_CUDA(cudaMemsetAsync(words_.view().data, 0, static_cast<size_t>(4 * total), stream.get()));
  float* next = words_.As<float>();
  for (int i = 0; i < 6; ++i) {
    *places[i] = next;
    next += LinesOf(sizes[i]);
  }

  args_.layers = layers_.As<const FusedLayer>();
  args_.num_layers = shape.num_layers;
  args_.hidden = shape.hidden;
  args_.heads = shape.heads;
  args_.kv_heads = shape.kv_heads;
  args_.ffn = shape.ffn;
  args_.block_bytes = shape.block_bytes;
  args_.has_zeros = shape.has_zeros;
  args_.epsilon = args.epsilon;
  args_.inverse_hidden = 1.0f / static_cast<float>(shape.hidden);
  args_.activation = static_cast<int>(args.activation);
  args_.splits = plan.splits;
  args_.window = static_cast<int>(args.window);
  args_.scale = args.scale * std::numbers::log2e_v<float>;
  args_.magnitude = args.rope.magnitude;
  args_.inverse_frequencies = args.rope.inverse_frequencies.As<const float>();
  args_.epoch = epoch_.As<uint32_t>();
  args_.shared = plan.shared;
}

bool FusedDecoder::Run(const Queue& queue, const Batch& batch, std::span<const PagedKv> caches,
                       const TensorView& residual) {
  AWQ_CHECK(
      caches.size() == static_cast<size_t>(args_.num_layers) && residual.dim(1) == args_.hidden,
      kInternal, "decode: caches or a residual stream of other layers");
  const DType type = caches[0].keys.dtype;
  const FusedKernel kernel = KernelOf(type, shape_);
  const int64_t keys =
      args_.window > 0 ? std::min<int64_t>(batch.max_kv, args_.window) : batch.max_kv;
  if (refused_ || kernel == nullptr || keys > kMaxFusedKeys) return false;
  FusedArgs a = args_;
  a.page_size = static_cast<int>(caches[0].page_size());
  const int key_bytes = shape_.head_size * static_cast<int>(BitsOf(type)) / 8;
  a.chunk_keys = a.shared.slot_bytes / (2 * key_bytes) / 16 * 16;
  for (size_t i = 0; i < caches.size(); ++i) {
    AWQ_CHECK(caches[i].kv_heads() == args_.kv_heads && caches[i].keys.dim(3) == shape_.head_size &&
                  !caches[i].values.empty(),
              kInternal, "decode: cache ", i, " is of other layers");
    if (caches[i].keys.dtype != type || caches[i].page_size() != a.page_size ||
        a.page_size % 16 != 0) {
      return false;
    }
    a.caches[0][i] = caches[i].keys.data;
    a.caches[1][i] = caches[i].values.data;
  }
  a.positions = batch.positions.As<const int>();
  a.kv_len = batch.kv_len.As<const int>();
  a.table = batch.block_table.As<const int>();
  a.residual = residual.As<float>();
  AWQ_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                cudaFuncAttributeMaxDynamicSharedMemorySize, a.shared.bytes));
  refused_ = !LaunchTogether(queue, kernel, blocks_, kFusedBlockThreads, a.shared.bytes, a);
  return !refused_;
}

}  // namespace awq::cuda
