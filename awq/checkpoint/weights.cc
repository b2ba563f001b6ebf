#include "awq/checkpoint/weights.h"

namespace awq {

WeightSource::WeightSource(std::shared_ptr<const Checkpoint> checkpoint, Model model)
    : checkpoint_(std::move(checkpoint)), model_(std::move(model)) {}

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

LinearWeight WeightSource::Linear(const LinearShape& shape, int64_t layer) const {
  const std::string module = model_.names.Module(shape.role, layer);
  LinearWeight out;
  if (checkpoint_->IsQuantized(module)) {
    out.weight = checkpoint_->format()->Unpack(*checkpoint_, module, checkpoint_->scheme(), shape.n,
                                               shape.k);
  } else {
    out.weight = Checked(module + ".weight", {shape.n, shape.k});
  }
  if (shape.bias) out.bias = Checked(module + ".bias", {shape.n});
  return out;
}

LayerParams WeightSource::Layer(int64_t layer) const {
  const ModelSpec& model = model_.spec;
  LayerParams out;
  for (const LinearShape& shape : LayerLinears(model, layer)) {
    out.linears.emplace(shape.role, Linear(shape, layer));
  }
  for (const VectorShape& shape : LayerVectors(model, layer)) {
    out.vectors.emplace(shape.role, Vector(shape.role, layer, shape.size));
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

Tensor WeightSource::Vector(Role role, int64_t layer, int64_t size) const {
  return ConvertTo(Checked(model_.names.Weight(role, layer), {size}).view(), DType::kF32);
}

Tensor WeightSource::Embedding() const {
  return Checked(model_.names.Weight(Role::kEmbed), {model_.spec.vocab, model_.spec.hidden});
}

bool WeightSource::HeadIsTied() const {
  return model_.spec.embed.tied_head || checkpoint_->Find(model_.names.Weight(Role::kHead)).empty();
}

Tensor WeightSource::Head() const {
  if (HeadIsTied()) return Embedding();
  return Checked(model_.names.Weight(Role::kHead), {model_.spec.vocab, model_.spec.hidden});
}

}  // namespace awq
