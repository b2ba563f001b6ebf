// WeightSource: hands out a model's weights by role, checked against the shapes the model expects.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "awq/base/tensor.h"
#include "awq/checkpoint/checkpoint.h"
#include "awq/model/arch.h"
#include "awq/pack/quantized_weight.h"

namespace awq {

struct LinearWeight {
  std::variant<Tensor, QuantizedWeight> weight;  // dense as stored [N, K], or quantized
  Tensor bias;                                   // as stored [N]; empty without one

  // A second owner of the same memory.
  LinearWeight Share() const;
};

// Everything a decoder layer is built from.
struct LayerParams {
  std::map<LinearId, LinearWeight> linears;
  std::map<Role, Tensor> vectors;        // norm weights, F32, with their offset
  std::map<Role, Tensor> vector_biases;  // norm biases, F32, of norms that have one

  LayerParams Share() const;
};

// The linears of the module that holds `id`: that one alone, or all parts of a fused module in the
// order of its rows.
std::vector<LinearShape> ModuleParts(const Model& model, int64_t layer, LinearId id);
// Rows of each.
std::vector<int64_t> RowsOf(const std::vector<LinearShape>& parts);

// Immutable; keeps the checkpoint open. Everything throws kNotFound or kCorrupt naming file,
// tensor, expected and found.
class WeightSource {
 public:
  WeightSource(std::shared_ptr<const Checkpoint> checkpoint, Model model);

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const ModelSpec& spec() const { return model_.spec; }
  const NameMap& names() const { return model_.names; }
  const Model& model() const { return model_; }

  LinearWeight Linear(const LinearShape& shape, int64_t layer) const;
  // The tensor that a dense linear is read from: "<module>.weight", or one that holds all experts.
  std::string SourceOf(LinearId id, int64_t layer) const;
  LayerParams Layer(int64_t layer) const;
  // The weight alone as f32 [N, K], dequantized if need be.
  Tensor DenseF32(const LinearShape& shape, int64_t layer) const;
  // A norm's weight and its bias as f32 [size]; the offset is part of the weight.
  Tensor Vector(const VectorShape& shape, int64_t layer) const;
  Tensor VectorBias(const VectorShape& shape, int64_t layer) const;
  // [V, E] as stored. A tied head is the embedding, as is a head that the file leaves out although
  // the configuration does not say so.
  Tensor Embedding() const;
  Tensor Head() const;
  bool HeadIsTied() const;
  Tensor HeadBias() const;  // [V]; empty without one
  // What else belongs to no layer, as stored: learned positions [P, D], projections.
  Tensor Other(Role role, const Shape& shape) const;

 private:
  Tensor Checked(const std::string& name, const Shape& expected) const;
  Tensor FusedExpert(const LinearShape& shape, const std::string& name) const;
  LinearWeight Module(const std::string& module, int64_t n, int64_t k, bool bias) const;
  std::shared_ptr<const Checkpoint> checkpoint_;
  Model model_;
};

}  // namespace awq
