// Readers of the components of tokenizer.json. Every one throws kCorrupt or kUnsupported with the
// file and the path of what it does not understand.
#pragma once

#include <optional>

#include "awq/base/json.h"
#include "awq/text/decoder.h"
#include "awq/text/normalizer.h"
#include "awq/text/post_processor.h"
#include "awq/text/pretokenizer.h"

namespace awq {

// The component may be absent.
NormalizerList ReadNormalizers(const std::optional<Json>& component);
PreTokenizerList ReadPreTokenizers(const std::optional<Json>& component);
PostProcessor ReadPostProcessor(const std::optional<Json>& component);
DecoderList ReadDecoders(const std::optional<Json>& component);

}  // namespace awq
