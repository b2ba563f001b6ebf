#include "awq/quant/layer_writer.h"

#include "awq/checkpoint/fused_rows.h"

namespace awq {
namespace {

// One weight of all parts of a module, as the checkpoint keeps them.
QuantizedWeight WeightOf(const WeightSource& source, const std::vector<LinearShape>& parts,
                         std::map<LinearId, QuantizedLinear>& done) {
  if (parts.size() == 1) return std::move(done.at(parts[0].id).weight);
  std::vector<const QuantizedWeight*> weights;
  for (const LinearShape& part : parts) weights.push_back(&done.at(part.id).weight);
  return Fuse(weights, *source.names().FusedOf(parts[0].id.role));
}

Tensor BiasOf(const WeightSource& source, const std::vector<LinearShape>& parts,
              const LayerParams& params) {
  std::vector<TensorView> biases;
  for (const LinearShape& part : parts) biases.push_back(params.linears.at(part.id).bias.view());
  if (parts.size() == 1) return ConvertTo(biases[0], DType::kF32);
  return Fuse(biases, *source.names().FusedOf(parts[0].id.role));
}

// What stays in 16 bits, as f32.
Tensor KeptWeightOf(const WeightSource& source, const std::vector<LinearShape>& parts,
                    const LayerParams& params) {
  std::vector<Tensor> floats;
  std::vector<TensorView> views;
  for (const LinearShape& part : parts) {
    floats.push_back(ConvertTo(DenseWeight(params, part.id), DType::kF32));
    views.push_back(floats.back().view());
  }
  if (parts.size() == 1) return std::move(floats[0]);
  return Fuse(views, *source.names().FusedOf(parts[0].id.role));
}

}  // namespace

void LayerWriter::Write(int64_t layer, const LayerParams& params,
                        std::map<LinearId, QuantizedLinear>& done,
                        const std::function<void(const LinearOutcome&)>& linear_done) {
  const NameMap& names = job_.source.names();
  for (const VectorShape& shape : LayerVectors(job_.source.spec(), layer)) {
    Tensor stored = ConvertTo(params.vectors.at(shape.role).view(), DType::kF32);
    for (float& w : stored.Span<float>()) w -= static_cast<float>(shape.offset);
    WriteLike(names.Weight(shape.role, layer), stored);
    if (shape.bias) {
      WriteLike(names.Bias(shape.role, layer), params.vector_biases.at(shape.role));
    }
  }
  for (const LinearShape& shape : LayerLinears(job_.source.spec(), layer)) {
    job_.poll();
    if (!shape.quantizable) {  // rescaled perhaps
      WriteLike(names.Weight(shape.id, layer),
                std::get<Tensor>(params.linears.at(shape.id).weight));
      continue;
    }
    const std::vector<LinearShape> parts = ModuleParts(job_.source.model(), layer, shape.id);
    if (shape.id == parts.front().id) WriteModule(layer, parts, params, done, linear_done);
  }
}

void LayerWriter::WriteModule(int64_t layer, const std::vector<LinearShape>& parts,
                              const LayerParams& params, std::map<LinearId, QuantizedLinear>& done,
                              const std::function<void(const LinearOutcome&)>& linear_done) {
  const std::string module = job_.source.names().Module(parts[0].id, layer);
  int64_t rows = 0;
  for (const LinearShape& part : parts) rows += part.n;
  const int64_t bytes = WriteWeight(layer, module, parts, params, done);
  if (parts[0].bias) WriteLike(module + ".bias", BiasOf(job_.source, parts, params));
  for (const LinearShape& part : parts) {
    const QuantizedLinear& linear = done.at(part.id);
    linear_done({layer, part.id, linear.alpha, linear.clipped, linear.error_before,
                 linear.error_after, linear.tokens, part.n * part.k, bytes * part.n / rows});
  }
}

// Packed, or as it was stored; returns the bytes.
int64_t LayerWriter::WriteWeight(int64_t layer, const std::string& module,
                                 const std::vector<LinearShape>& parts, const LayerParams& params,
                                 std::map<LinearId, QuantizedLinear>& done) {
  const std::string name = job_.source.SourceOf(parts[0].id, layer);
  if (done.at(parts[0].id).weight.codes.empty()) {
    WriteLike(name, KeptWeightOf(job_.source, parts, params));
    return job_.source.checkpoint().Get(name).view().NumBytes();
  }
  const QuantizedWeight weight = WeightOf(job_.source, parts, done);
  const std::vector<NamedTensor> packed =
      job_.format.Pack(weight, module, job_.source.checkpoint().model_type());
  int64_t bytes = 0;
  for (const NamedTensor& t : packed) bytes += t.tensor.view().NumBytes();
  job_.writer.Write(packed);
  written_.insert(name);
  return bytes;
}

// Writes f32 values in the type the checkpoint stores that tensor in.
void LayerWriter::WriteLike(const std::string& name, const Tensor& values) {
  const Tensor rounded = ConvertTo(values.view(), job_.source.checkpoint().Get(name).dtype());
  job_.writer.Write(name, rounded.view());
  written_.insert(name);
}

void LayerWriter::Skip(int64_t layer) {
  const NameMap& names = job_.source.names();
  for (const VectorShape& shape : LayerVectors(job_.source.spec(), layer)) {
    written_.insert(names.Weight(shape.role, layer));
    if (shape.bias) written_.insert(names.Bias(shape.role, layer));
  }
  for (const LinearShape& shape : LayerLinears(job_.source.spec(), layer)) {
    written_.insert(job_.source.SourceOf(shape.id, layer));
    if (shape.bias) written_.insert(names.Bias(shape.id, layer));
  }
}

void LayerWriter::CopyRest() {
  const Checkpoint& checkpoint = job_.source.checkpoint();
  for (const std::string& name : checkpoint.Names()) {
    if (written_.contains(name)) continue;
    job_.poll();
    job_.writer.Write(name, checkpoint.Get(name).view());
    checkpoint.Release(name);
  }
}

}  // namespace awq
