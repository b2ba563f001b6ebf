// WeightSource: hands out a model's weights by role, checked against the shapes the model expects.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include "awq/base/tensor.h"
#include "awq/checkpoint/checkpoint.h"
#include "awq/model/arch.h"
#include "awq/pack/quantized_weight.h"

namespace awq {

struct LinearWeight {
  std::variant<Tensor, QuantizedWeight> weight;  // dense as stored [N, K], or quantized
  Tensor bias;                                   // as stored [N]; empty without one
};

// Everything a decoder layer is built from.
struct LayerParams {
  std::map<Role, LinearWeight> linears;
  std::map<Role, Tensor> vectors;  // norm weights, F32
};

// Immutable; keeps the checkpoint open. Everything throws kNotFound or kCorrupt naming file,
// tensor, expected and found.
class WeightSource {
 public:
  WeightSource(std::shared_ptr<const Checkpoint> checkpoint, Model model);

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const ModelSpec& spec() const { return model_.spec; }
  const NameMap& names() const { return model_.names; }

  LinearWeight Linear(const LinearShape& shape, int64_t layer) const;
  LayerParams Layer(int64_t layer) const;
  // The weight alone as f32 [N, K], dequantized if need be.
  Tensor DenseF32(const LinearShape& shape, int64_t layer) const;
  // A norm's weight as f32 [size].
  Tensor Vector(Role role, int64_t layer, int64_t size) const;
  // [V, D] as stored. A tied head is the embedding, as is a head that the file leaves out although
  // the configuration does not say so.
  Tensor Embedding() const;
  Tensor Head() const;
  bool HeadIsTied() const;

 private:
  Tensor Checked(const std::string& name, const Shape& expected) const;
  std::shared_ptr<const Checkpoint> checkpoint_;
  Model model_;
};

}  // namespace awq
