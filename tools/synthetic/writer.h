// Checkpoints of random weights.
#pragma once

#include <cstdint>
#include <string>

#include "tools/synthetic/model.h"

namespace awq::synthetic {

// Writes a checkpoint whose config.json tells of all the model's layers, with the weights of the
// first `layers` of them. type: of all that is not quantized. The bytes of its tensors.
int64_t WriteModel(const Model& model, const std::string& folder, const Weights& weights,
                   DType type, int64_t layers);

}  // namespace awq::synthetic
