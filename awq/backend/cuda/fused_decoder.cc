#include "awq/backend/cuda/fused_decoder.h"

#include <algorithm>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/packed.h"

namespace awq::cuda {
// A layer's weights; those of routed experts one after another.
struct FusedParts {
  std::vector<const Q4Weight*> linears[kFusedLinears];
  const DenseWeight* router = nullptr;
};

namespace {

// None where a weight is of another kind than the kernel takes.
std::optional<FusedParts> PartsOf(const DecoderWeights& layer) {
  FusedParts out;
  const auto add = [&](FusedLinear i, const PackedWeight* w) {
    out.linears[i].push_back(dynamic_cast<const Q4Weight*>(w));
  };
  add(kFusedQkv, layer.qkv);
  add(kFusedO, layer.o);
  if (layer.experts) {
    out.router = dynamic_cast<const DenseWeight*>(layer.experts->router);
    if (out.router == nullptr) return std::nullopt;
    AWQ_CHECK(layer.experts->down->size() == out.router->n() &&
                  layer.experts->gate_up->size() == out.router->n(),
              kInternal, "prepare_decoder: a router of ", out.router->n(), " for ",
              layer.experts->gate_up->size(), " and ", layer.experts->down->size(), " experts");
    for (int64_t e = 0; e < layer.experts->gate_up->size(); ++e) {
      add(kFusedGateUp, &(*layer.experts->gate_up)[e]);
      add(kFusedDown, &(*layer.experts->down)[e]);
    }
  } else {
    add(kFusedGateUp, layer.gate_up);
    add(kFusedDown, layer.down);
  }
  for (const auto& linear : out.linears) {
    if (std::ranges::find(linear, nullptr) != linear.end()) return std::nullopt;
  }
  return out;
}

bool AreAlike(const Q4Shape& a, const Q4Shape& b) {
  return a.has_zeros == b.has_zeros && a.GroupsPerBlock() == 1 && b.GroupsPerBlock() == 1;
}

// None where linears are not in one layout.
std::optional<FusedShape> ShapeOf(const DecoderArgs& args, const FusedParts& parts, bool sandwich) {
  const Q4Weight& down = *parts.linears[kFusedDown][0];
  const bool routed = parts.router != nullptr;
  const FusedShape shape{.hidden = static_cast<int>(down.n()),
                         .heads = static_cast<int>(args.heads),
                         .kv_heads = static_cast<int>(args.kv_heads),
                         .head_size = static_cast<int>(args.head_size),
                         .ffn = static_cast<int>((routed ? args.active : 1) * down.k()),
                         .experts = routed ? static_cast<int>(parts.linears[kFusedDown].size()) : 0,
                         .active = routed ? static_cast<int>(args.active) : 0,
                         .block_bytes = down.shape().BlockBytes(),
                         .has_zeros = down.shape().has_zeros,
                         .sandwich = sandwich};
  const auto q_size = args.heads * args.head_size;
  const std::pair<int64_t, int64_t> expected[kFusedLinears] = {
      {q_size + 2 * args.kv_heads * args.head_size, down.n()},
      {down.n(), q_size},
      {2 * down.k(), down.n()},
      {down.n(), down.k()}};
  AWQ_CHECK(!routed || parts.router->k() == down.n(), kInternal, "prepare_decoder: a router of ",
            routed ? parts.router->k() : 0, " inputs for ", down.n());
  for (int i = 0; i < kFusedLinears; ++i) {
    const auto [n, k] = expected[i];
    for (const Q4Weight* linear : parts.linears[i]) {
      AWQ_CHECK(linear->n() == n && linear->k() == k, kInternal, "prepare_decoder: linear ", i,
                ": expected [", n, ", ", k, "], found [", linear->n(), ", ", linear->k(), "]");
      if (!AreAlike(linear->shape(), down.shape()) || linear->gated() != (i == kFusedGateUp)) {
        return std::nullopt;
      }
    }
  }
  return shape;
}

// None where layers are not all of one shape, or there are none.
std::optional<FusedShape> ShapeOf(const DecoderArgs& args, std::span<const DecoderWeights> weights,
                                  std::span<const FusedParts> layers) {
  std::optional<FusedShape> shape;
  for (size_t l = 0; l < layers.size(); ++l) {
    const DecoderWeights& w = weights[l];
    AWQ_CHECK(w.attn_post_norm.empty() == w.ffn_post_norm.empty() && !w.rope.interleaved &&
                  w.rope.inverse_frequencies.NumElements() == args.head_size / 2,
              kInternal, "prepare_decoder: layer ", l,
              " has one norm of what it adds, or heads that are not rotated as halves");
    std::optional<FusedShape> here = ShapeOf(args, layers[l], !w.attn_post_norm.empty());
    if (!here) return std::nullopt;
    here->num_layers = static_cast<int>(layers.size());
    if (shape && *here != *shape) return std::nullopt;
    shape = here;
  }
  return shape;
}

std::optional<FusedRouterType> RouterTypeOf(DType type) {
  if (type == DType::kF32) return FusedRouterType::kF32;
  if (type == DType::kF16) return FusedRouterType::kF16;
  if (type == DType::kBF16) return FusedRouterType::kBF16;
  return std::nullopt;
}

// Whether experts are chosen by their softmax alone, with routers of one type.
bool SuitsRoute(const RouteArgs& route, std::span<const DecoderWeights> layers,
                std::span<const FusedParts> parts) {
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!layers[i].experts) continue;
    const DType type = parts[i].router->view().dtype;
    if (route.sigmoid || route.active_groups < route.groups ||
        !layers[i].experts->router_bias.empty() || !layers[i].gate_up_bias.empty() ||
        !layers[i].down_bias.empty() || !RouterTypeOf(type) ||
        type != parts[0].router->view().dtype) {
      return false;
    }
  }
  return true;
}

// What the kernel is told of each layer.
std::vector<FusedLayer> TableOf(std::span<const DecoderWeights> layers,
                                std::span<const FusedParts> parts) {
  std::vector<FusedLayer> out;
  for (size_t l = 0; l < layers.size(); ++l) {
    const DecoderWeights& layer = layers[l];
    const TensorView* biases[] = {&layer.qkv_bias, &layer.o_bias, &layer.gate_up_bias,
                                  &layer.down_bias};
    FusedLayer& entry = out.emplace_back();
    for (int i = 0; i < kFusedLinears; ++i) {
      const bool routed = parts[l].router != nullptr && i >= kFusedGateUp;  // see FusedExpert
      entry.weights[i] = routed ? nullptr : parts[l].linears[i][0]->blocks();
      entry.scales[i] = routed ? 1.0f : parts[l].linears[i][0]->scale();
      entry.biases[i] = biases[i]->As<const float>();
    }
    entry.norms[0] = layer.attn_norm.As<const float>();
    entry.norms[1] = layer.ffn_norm.As<const float>();
    entry.head_norms[0] = layer.q_norm.As<const float>();
    entry.head_norms[1] = layer.k_norm.As<const float>();
  }
  return out;
}

// Of all layers, one after another.
std::vector<FusedExpert> ExpertsOf(std::span<const FusedParts> layers) {
  std::vector<FusedExpert> out;
  for (const FusedParts& parts : layers) {
    for (size_t e = 0; e < parts.linears[kFusedDown].size(); ++e) {
      const Q4Weight& gate_up = *parts.linears[kFusedGateUp][e];
      const Q4Weight& down = *parts.linears[kFusedDown][e];
      out.push_back({.gate_up = gate_up.blocks(),
                     .down = down.blocks(),
                     .gate_up_scale = gate_up.scale(),
                     .down_scale = down.scale()});
    }
  }
  return out;
}

// Of each layer the number of its reach, by which they come in `reaches`.
std::vector<int> ReachesOf(std::span<const DecoderWeights> layers,
                           std::vector<FusedReach>& reaches) {
  std::vector<int> out;
  for (const DecoderWeights& layer : layers) {
    const FusedReach reach{.window = static_cast<int>(layer.window),
                           .magnitude = layer.rope.magnitude,
                           .inverse_frequencies = layer.rope.inverse_frequencies.As<const float>()};
    const auto at = std::ranges::find_if(reaches, [&](const FusedReach& r) {
      return r.window == reach.window && r.magnitude == reach.magnitude &&
             r.inverse_frequencies == reach.inverse_frequencies;
    });
    out.push_back(static_cast<int>(at - reaches.begin()));
    if (at == reaches.end()) reaches.push_back(reach);
  }
  return out;
}

// So many floats as whole lines of L2.
int64_t LinesOf(int floats) { return (floats + 31) / 32 * 32; }

FusedKernel KernelOf(DType cache, const FusedShape& s, int groups, int group_heads) {
  const FusedHeads heads{s.head_size, group_heads, groups * group_heads != s.heads};
  const int inputs = std::max(s.hidden, s.heads * s.head_size);
  const bool routed = s.experts > 0;
  if (s.sandwich) {
    if (cache == DType::kF16) return FusedSandwichKernelF16(heads, inputs);
    if (cache == DType::kBF16) return FusedSandwichKernelBF16(heads, inputs);
    return cache == DType::kF8E4M3 ? FusedSandwichKernelE4M3(heads, inputs) : nullptr;
  }
  if (cache == DType::kF16) {
    return (routed ? FusedMoeKernelF16 : FusedKernelF16)(heads, inputs);
  }
  if (cache == DType::kBF16) {
    return (routed ? FusedMoeKernelBF16 : FusedKernelBF16)(heads, inputs);
  }
  if (cache == DType::kF8E4M3) {
    return (routed ? FusedMoeKernelE4M3 : FusedKernelE4M3)(heads, inputs);
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<FusedDecoder> FusedDecoder::Make(Stream& stream, const DeviceLimits& device,
                                                 const DecoderArgs& args,
                                                 std::span<const DecoderWeights> layers) {
  if (device.arch != 90) return nullptr;
  std::vector<FusedParts> parts;
  for (const DecoderWeights& layer : layers) {
    std::optional<FusedParts> here = PartsOf(layer);
    if (!here) return nullptr;
    parts.push_back(std::move(*here));
  }
  const std::optional<FusedShape> shape = ShapeOf(args, layers, parts);
  if (!shape || !SuitsRoute(args.route, layers, parts)) return nullptr;
  std::vector<FusedReach> reaches;
  ReachesOf(layers, reaches);
  const bool can_cap = shape->sandwich || args.softcap == 0;
  if (reaches.size() > (shape->sandwich ? kMaxFusedReaches : 1) || !can_cap) return nullptr;
  const std::optional<FusedPlan> plan = PlanFused(*shape, device.sms, device.shared_per_block);
  if (!plan) return nullptr;
  return std::unique_ptr<FusedDecoder>(
      new FusedDecoder(stream, args, layers, parts, *shape, *plan));
}

FusedDecoder::FusedDecoder(Stream& stream, const DecoderArgs& args,
                           std::span<const DecoderWeights> layers,
                           std::span<const FusedParts> parts, const FusedShape& shape,
                           const FusedPlan& plan)
    : PackedDecoder(args, layers),
      blocks_(plan.blocks),
      shape_(shape),
      args_{},
      layers_(stream.Upload(TableOf(layers, parts))),
      epoch_(stream.Upload(std::vector<uint32_t>{1})) {
  // The vectors that thread blocks exchange: of an epoch before the first.
  const int q_size = shape.heads * shape.head_size;
  const int partial = plan.groups * plan.group_heads * plan.splits * (shape.head_size + 2);
  const int sizes[] = {q_size + 2 * shape.kv_heads * shape.head_size,
                       partial,
                       q_size,
                       shape.hidden,
                       shape.experts,
                       shape.ffn,
                       shape.hidden};
  float** const places[] = {&args_.qkv,    &args_.partial,    &args_.mixed, &args_.attended,
                            &args_.logits, &args_.ffn_hidden, &args_.fed};
  int64_t total = 0;
  for (int size : sizes) total += LinesOf(size);
  words_ = stream.Alloc(DType::kF32, {total});
  AWQ_CUDA(cudaMemsetAsync(words_.view().data, 0, static_cast<size_t>(4 * total), stream.get()));
  float* next = words_.As<float>();
  for (size_t i = 0; i < std::size(sizes); ++i) {
    *places[i] = next;
    next += LinesOf(sizes[i]);
  }
  if (shape.experts > 0) AddExperts(stream, args, parts);

  args_.layers = layers_.As<const FusedLayer>();
  args_.num_layers = shape.num_layers;
  args_.hidden = shape.hidden;
  args_.heads = shape.heads;
  args_.kv_heads = shape.kv_heads;
  args_.groups = plan.groups;
  args_.group_heads = plan.group_heads;
  args_.ffn = shape.ffn;
  args_.block_bytes = shape.block_bytes;
  args_.has_zeros = shape.has_zeros;
  args_.epsilon = args.epsilon;
  args_.inverse_hidden = 1.0f / static_cast<float>(shape.hidden);
  args_.activation = static_cast<int>(args.activation);
  args_.splits = plan.splits;
  args_.scale = args.scale * std::numbers::log2e_v<float>;
  std::vector<FusedReach> reaches;
  const std::vector<int> of_layers = ReachesOf(layers, reaches);
  reaches.resize(kMaxFusedReaches, reaches[0]);
  std::ranges::copy(reaches, args_.reaches);
  if (shape.sandwich) AddSandwiches(stream, args, layers, of_layers);
  args_.epoch = epoch_.As<uint32_t>();
  args_.shared = plan.shared;
}

void FusedDecoder::AddSandwiches(Stream& stream, const DecoderArgs& args,
                                 std::span<const DecoderWeights> layers,
                                 std::span<const int> reaches) {
  std::vector<FusedSandwich> out;
  for (size_t l = 0; l < layers.size(); ++l) {
    out.push_back({.norms = {layers[l].attn_post_norm.As<const float>(),
                             layers[l].ffn_post_norm.As<const float>()},
                   .reach = reaches[l]});
  }
  sandwiches_ = stream.Upload(out);
  args_.sandwiches = sandwiches_.As<const FusedSandwich>();
  if (args.softcap == 0) return;
  args_.cap = args.softcap * std::numbers::log2e_v<float>;
  args_.inverse_cap = 1.0f / args_.cap;
}

void FusedDecoder::AddExperts(Stream& stream, const DecoderArgs& args,
                              std::span<const FusedParts> parts) {
  experts_ = stream.Upload(ExpertsOf(parts));
  std::vector<FusedRouter> routers;
  const auto* experts = experts_.As<const FusedExpert>();
  for (const FusedParts& layer : parts) {
    routers.push_back({layer.router->view().data, experts});
    experts += shape_.experts;
  }
  args_.router = *RouterTypeOf(parts[0].router->view().dtype);
  routers_ = stream.Upload(routers);
  args_.routers = routers_.As<const FusedRouter>();
  args_.experts = shape_.experts;
  args_.active = shape_.active;
  args_.expert_blocks = shape_.ffn / shape_.active / kBlockK;
  args_.normalize = args.route.normalize;
  args_.weight_scale = args.route.scale;
}

bool FusedDecoder::Run(const Queue& queue, const Batch& batch, std::span<const PagedKv> caches,
                       const TensorView& residual) {
  AWQ_CHECK(
      caches.size() == static_cast<size_t>(args_.num_layers) && residual.dim(1) == args_.hidden,
      kInternal, "decode: caches or a residual stream of other layers");
  const DType type = caches[0].keys.dtype;
  const FusedKernel kernel = KernelOf(type, shape_, args_.groups, args_.group_heads);
  const auto keys_of = [&](const FusedReach& r) {
    return r.window > 0 ? std::min<int64_t>(batch.max_kv, r.window) : batch.max_kv;
  };
  const int64_t keys = std::max(keys_of(args_.reaches[0]), keys_of(args_.reaches[1]));
  if (refused_ || kernel == nullptr || keys > MostFusedKeys(shape_.head_size)) return false;
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
