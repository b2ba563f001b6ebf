// The list of architectures: config.json's model_type → {ModelSpec, NameMap}.
#pragma once

#include <string>
#include <vector>

#include "awq/base/json.h"
#include "awq/model/names.h"
#include "awq/model/spec.h"

namespace awq {

struct Architecture {
  std::string model_type;
  ModelSpec (*spec)(const Json& config);
  NameMap (*names)(const Json& config);
};

const std::vector<Architecture>& Architectures();

struct Model {
  ModelSpec spec;
  NameMap names;
};
// Throws kUnsupported listing the known model types, kCorrupt for values that cannot be.
Model ReadModel(const Json& config);

}  // namespace awq
