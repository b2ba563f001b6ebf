#include "awq/checkpoint/weights.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "awq/checkpoint/fused_rows.h"

namespace awq {
namespace {

LinearWeight Part(const LinearWeight& whole, const FusedLinear& fused,
                  const std::vector<int64_t>& rows, Role role) {
  const auto at = std::find(fused.roles.begin(), fused.roles.end(), role);
  const auto part = static_cast<size_t>(at - fused.roles.begin());
  LinearWeight out;
  std::visit([&](const auto& w) { out.weight = TakePart(w, fused, rows, part); }, whole.weight);
  if (!whole.bias.empty()) out.bias = TakePart(whole.bias, fused, rows, part);
  return out;
}

// Checkpoints of a model without its head leave the first component of all other names out:
// "h.0.…" instead of "transformer.h.0.…".
NameMap NamesIn(const Checkpoint& checkpoint, const NameMap& names) {
  const std::string embed = names.Weight(Role::kEmbed);
  const std::string prefix = embed.substr(0, embed.find('.') + 1);
  if (checkpoint.Find(embed).empty() && !checkpoint.Find(embed.substr(prefix.size())).empty()) {
    return names.WithoutPrefix(prefix);
  }
  return names;
}

}  // namespace

LinearWeight LinearWeight::Share() const {
  LinearWeight out;
  if (const auto* dense = std::get_if<Tensor>(&weight)) {
    out.weight = dense->Share();
  } else {
    const auto& q = std::get<QuantizedWeight>(weight);
    out.weight = QuantizedWeight{q.scheme, q.codes.Share(), q.scales.Share(), q.zeros.Share()};
  }
  out.bias = bias.Share();
  return out;
}

LayerParams LayerParams::Share() const {
  LayerParams out;
  for (const auto& [id, linear] : linears) out.linears.emplace(id, linear.Share());
  for (const auto& [role, v] : vectors) out.vectors.emplace(role, v.Share());
  for (const auto& [role, v] : vector_biases) out.vector_biases.emplace(role, v.Share());
  return out;
}

std::vector<LinearShape> ModuleParts(const Model& model, int64_t layer, LinearId id) {
  const FusedLinear* fused = model.names.FusedOf(id.role);
  if (fused == nullptr) return {LinearOf(model.spec, layer, id)};
  std::vector<LinearShape> out;
  for (Role role : fused->roles) out.push_back(LinearOf(model.spec, layer, role));
  return out;
}

std::vector<int64_t> RowsOf(const std::vector<LinearShape>& parts) {
  std::vector<int64_t> rows;
  for (const LinearShape& part : parts) rows.push_back(part.n);
  return rows;
}

WeightSource::WeightSource(std::shared_ptr<const Checkpoint> checkpoint, Model model)
    : checkpoint_(std::move(checkpoint)), model_(std::move(model)) {
  model_.names = NamesIn(*checkpoint_, model_.names);
}

Tensor WeightSource::Checked(const std::string& name, const Shape& expected) const {
  Tensor t = checkpoint_->Get(name);
  AWQ_CHECK(t.shape() == expected, kCorrupt, checkpoint_->FileOf(name).string(), ": ", name,
            ": expected ", expected, " by config.json, found ", t.shape());
  const DType type = t.dtype();
  AWQ_CHECK(type == DType::kF32 || type == DType::kF16 || type == DType::kBF16, kUnsupported,
            checkpoint_->FileOf(name).string(), ": ", name, ": expected F32, F16 or BF16, found ",
            NameOf(type));
  return t;
}

std::string WeightSource::SourceOf(LinearId id, int64_t layer) const {
  std::string own = model_.names.Weight(id, layer);
  if (id.expert < 0 || !checkpoint_->Find(own).empty()) return own;
  // "….experts.", where the names of two experts part.
  const std::string first = model_.names.Module({id.role, 0}, layer);
  const std::string second = model_.names.Module({id.role, 1}, layer);
  const auto parting = std::mismatch(first.begin(), first.end(), second.begin()).first;
  const std::string fused = std::string(first.begin(), parting) +
                            (id.role == Role::kExpertDown ? "down_proj" : "gate_up_proj");
  return checkpoint_->Find(fused).empty() ? own : fused;
}

// All experts in one tensor [E, rows, columns]: each expert's gate above its up, or its down; or
// every matrix transposed, which its shape tells, and the other tensor's where both sides are
// equal.
Tensor WeightSource::FusedExpert(const LinearShape& shape, const std::string& name) const {
  const Tensor all = checkpoint_->Get(name);
  const bool down = shape.id.role == Role::kExpertDown;
  const int64_t n = down ? shape.n : 2 * shape.n;
  const TensorView& v = all.view();
  const bool floats = v.dtype == DType::kF32 || v.dtype == DType::kF16 || v.dtype == DType::kBF16;
  AWQ_CHECK(v.rank() == 3 && floats && shape.id.expert < v.dim(0) &&
                ((v.dim(1) == n && v.dim(2) == shape.k) || (v.dim(1) == shape.k && v.dim(2) == n)),
            kCorrupt, checkpoint_->FileOf(name).string(), ": ", name,
            ": expected floats [experts, ", n, ", ", shape.k, "] or [experts, ", shape.k, ", ", n,
            "], found ", NameOf(v.dtype), " ", v.shape);
  bool transposed = v.dim(1) != n;
  if (n == shape.k) {
    const std::string prefix = name.substr(0, name.rfind('.') + 1);
    const Tensor other = checkpoint_->Get(prefix + (down ? "gate_up_proj" : "down_proj"));
    // down reads what up writes: [E, D, F] beside [E, 2F, D].
    const int64_t outputs = down ? 2 * shape.k : shape.k;
    transposed = other.view().rank() == 3 && other.view().dim(1) != outputs;
  }
  const int64_t first = shape.id.role == Role::kExpertUp ? shape.n : 0;
  Tensor out = MakeTensor(v.dtype, {shape.n, shape.k});
  const int64_t expert = shape.id.expert * v.dim(1) * v.dim(2);
  if (!transposed) {
    const int64_t from = (expert + first * shape.k) * BitsOf(v.dtype) / 8;
    std::memcpy(out.As<char>(), v.As<const char>() + from,
                static_cast<size_t>(out.view().NumBytes()));
    return out;
  }
  for (int64_t r = 0; r < shape.n; ++r) {
    for (int64_t c = 0; c < shape.k; ++c) {
      StoreFloat(out.view(), r * shape.k + c, LoadFloat(v, expert + c * n + first + r));
    }
  }
  return out;
}

LinearWeight WeightSource::Module(const std::string& module, int64_t n, int64_t k,
                                  bool bias) const {
  LinearWeight out;
  if (checkpoint_->IsQuantized(module)) {
    out.weight =
        checkpoint_->format()->Unpack(*checkpoint_, module, checkpoint_->SchemeOf(module), n, k);
  } else {
    out.weight = Checked(module + ".weight", {n, k});
  }
  if (bias) out.bias = Checked(module + ".bias", {n});
  return out;
}

LinearWeight WeightSource::Linear(const LinearShape& shape, int64_t layer) const {
  const std::string module = model_.names.Module(shape.id, layer);
  const std::string name = SourceOf(shape.id, layer);
  if (name != module + ".weight") return {FusedExpert(shape, name), {}};
  const FusedLinear* fused = model_.names.FusedOf(shape.id.role);
  if (fused == nullptr) return Module(module, shape.n, shape.k, shape.bias);
  const std::vector<int64_t> rows = RowsOf(ModuleParts(model_, layer, shape.id));
  const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  return Part(Module(module, total, shape.k, shape.bias), *fused, rows, shape.id.role);
}

LayerParams WeightSource::Layer(int64_t layer) const {
  const ModelSpec& model = model_.spec;
  LayerParams out;
  for (const LinearShape& shape : LayerLinears(model, layer)) {
    if (out.linears.contains(shape.id)) continue;
    const FusedLinear* fused = model_.names.FusedOf(shape.id.role);
    if (fused == nullptr) {
      out.linears.emplace(shape.id, Linear(shape, layer));
      continue;
    }
    // A module that is unpacked is unpacked once.
    const std::vector<LinearShape> parts = ModuleParts(model_, layer, shape.id);
    const std::vector<int64_t> rows = RowsOf(parts);
    const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
    const LinearWeight whole =
        Module(model_.names.Module(shape.id, layer), total, shape.k, shape.bias);
    for (const LinearShape& part : parts) {
      out.linears.emplace(part.id, Part(whole, *fused, rows, part.id.role));
    }
  }
  for (const VectorShape& shape : LayerVectors(model, layer)) {
    out.vectors.emplace(shape.role, Vector(shape, layer));
    if (shape.bias) out.vector_biases.emplace(shape.role, VectorBias(shape, layer));
  }
  return out;
}

Tensor WeightSource::DenseF32(const LinearShape& shape, int64_t layer) const {
  const LinearWeight linear = Linear(shape, layer);
  if (const auto* dense = std::get_if<Tensor>(&linear.weight)) {
    return ConvertTo(dense->view(), DType::kF32);
  }
  return Dequantize(std::get<QuantizedWeight>(linear.weight));
}

Tensor WeightSource::Vector(const VectorShape& shape, int64_t layer) const {
  Tensor out =
      ConvertTo(Checked(model_.names.Weight(shape.role, layer), {shape.size}).view(), DType::kF32);
  for (float& w : out.Span<float>()) w += static_cast<float>(shape.offset);
  return out;
}

Tensor WeightSource::VectorBias(const VectorShape& shape, int64_t layer) const {
  return ConvertTo(Checked(model_.names.Bias(shape.role, layer), {shape.size}).view(), DType::kF32);
}

Tensor WeightSource::Embedding() const {
  return Checked(model_.names.Weight(Role::kEmbed), {model_.spec.vocab, model_.spec.embed_size()});
}

bool WeightSource::HeadIsTied() const {
  return model_.spec.embed.tied_head || checkpoint_->Find(model_.names.Weight(Role::kHead)).empty();
}

Tensor WeightSource::Head() const {
  if (HeadIsTied()) return Embedding();
  return Checked(model_.names.Weight(Role::kHead), {model_.spec.vocab, model_.spec.embed_size()});
}

Tensor WeightSource::HeadBias() const {
  if (!model_.spec.head.bias) return {};
  return Checked(model_.names.Bias(Role::kHead), {model_.spec.vocab});
}

Tensor WeightSource::Other(Role role, const Shape& shape) const {
  return Checked(model_.names.Weight(role), shape);
}

}  // namespace awq
