#include "awq/api/inspect.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "awq/api/internal/loading.h"

namespace awq {
namespace {

void Describe(const GqaSpec& a, InspectReport& out) {
  out.heads = a.heads;
  out.kv_heads = a.kv_heads;
  out.head_size = a.head_size;
  if (a.window > 0 && (out.window == 0 || a.window < out.window)) out.window = a.window;
}

void Describe(const MlaSpec& a, InspectReport& out) {
  out.heads = out.kv_heads = a.heads;
  out.head_size = a.qk_size();
  out.latent = a.latent_size();
}

void Describe(const MlpSpec& f, InspectReport& out) {
  if (out.ffn == 0) out.ffn = f.size;
}

void Describe(const MoeSpec& f, InspectReport& out) {
  out.experts = f.experts;
  out.active_experts = f.active;
  out.expert_ffn = f.size;
  ++out.moe_layers;
}

void DescribeModel(const ModelSpec& spec, InspectReport& out) {
  out.architecture = spec.arch;
  out.layers = spec.num_layers();
  out.hidden = spec.hidden;
  for (const LayerSpec& l : spec.layers) {
    const auto describe = [&](const auto& part) { Describe(part, out); };
    std::visit(describe, l.attention);
    std::visit(describe, l.ffn);
  }
  out.vocabulary = spec.vocab;
  out.max_context = spec.context;
  out.parameters = CountParameters(spec);
}

void ListTensors(const Checkpoint& checkpoint, InspectReport& out) {
  std::map<std::string, TypeShare> types;
  for (const std::string& name : checkpoint.Names()) {
    const Tensor t = checkpoint.Get(name);
    const TensorView& v = t.view();
    TensorInfo info{name,
                    std::string(NameOf(v.dtype)),
                    {},
                    v.NumBytes(),
                    checkpoint.FileOf(name).filename().string()};
    for (int i = 0; i < v.rank(); ++i) info.shape.push_back(v.dim(i));
    TypeShare& share = types[info.type];
    share.type = info.type;
    ++share.tensors;
    share.bytes += info.bytes;
    out.file_bytes += info.bytes;
    out.tensors.push_back(std::move(info));
  }
  for (const auto& [name, share] : types) out.types.push_back(share);
  std::sort(out.types.begin(), out.types.end(),
            [](const TypeShare& a, const TypeShare& b) { return a.bytes > b.bytes; });
}

// Bytes of a module's tensors ("<module>.…"), its bias apart.
int64_t ModuleBytes(const std::vector<TensorInfo>& tensors, const std::string& module) {
  const std::string prefix = module + ".";
  auto at = std::lower_bound(tensors.begin(), tensors.end(), prefix,
                             [](const TensorInfo& t, const std::string& p) { return t.name < p; });
  int64_t bytes = 0;
  for (; at != tensors.end() && at->name.starts_with(prefix); ++at) {
    if (at->name != module + ".bias") bytes += at->bytes;
  }
  return bytes;
}

void DescribeQuantization(const WeightSource& source, InspectReport& out) {
  const Checkpoint& checkpoint = source.checkpoint();
  const bool quantized = checkpoint.format() != nullptr;
  out.format = quantized ? std::string(checkpoint.format()->Name()) : "dense";
  if (quantized) {
    out.bits = checkpoint.scheme().bits;
    out.group = checkpoint.scheme().group;
    out.symmetric = checkpoint.scheme().symmetric;
  }
  std::set<std::string> seen;  // a module may hold several linears
  int64_t bytes = 0;
  int64_t weights = 0;
  for (int64_t layer = 0; layer < out.layers; ++layer) {
    for (const LinearShape& shape : LayerLinears(source.spec(), layer)) {
      const std::string module = source.names().Module(shape.id, layer);
      if (seen.insert(module).second) bytes += ModuleBytes(out.tensors, module);
      weights += shape.n * shape.k;
      if (checkpoint.IsQuantized(module)) {
        ++out.quantized_linears;
      } else if (quantized) {
        out.skipped.push_back(module);
      }
    }
  }
  out.tied_head = source.HeadIsTied();
  if (quantized && !out.tied_head) out.skipped.push_back(source.names().Module(Role::kHead));
  out.linear_bits_per_weight = 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
  out.bits_per_weight =
      8.0 * static_cast<double>(out.file_bytes) / static_cast<double>(out.parameters);
}

}  // namespace

InspectReport Inspect(const std::filesystem::path& model, int64_t context) {
  const WeightSource source = OpenModel(model);
  InspectReport out;
  DescribeModel(source.spec(), out);
  ListTensors(source.checkpoint(), out);
  DescribeQuantization(source, out);
  AWQ_CHECK(context >= 0 && context <= out.max_context, kInvalidArgument,
            "context: expected at most ", out.max_context,
            " tokens, as config.json's max_position_embeddings says, found ", context);
  out.context = context == 0 ? out.max_context : context;
  out.weight_bytes = out.file_bytes;
  out.kv_bytes = out.context * KvBytesPerToken(source.spec(), 2);
  return out;
}

}  // namespace awq
