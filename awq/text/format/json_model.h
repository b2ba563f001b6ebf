// Reader of the model in tokenizer.json. Vocabulary and merges, nearly all of the file, come from
// a streaming parser; the rest is a Json.
#pragma once

#include <simdjson.h>

#include <memory>

#include "awq/base/json.h"
#include "awq/text/model.h"

namespace awq {

// `document` is at the root of the file; `small` is "model" without its vocabulary and merges.
std::unique_ptr<const Model> ReadModel(simdjson::ondemand::document& document, const Json& small);

}  // namespace awq
