// RunIdentity: all that the bytes of a quantized checkpoint depend on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "awq/base/json.h"
#include "awq/checkpoint/checkpoint.h"
#include "awq/quant/activations.h"

namespace awq {

// {"source": {file: SHA-256}, "calibration": SHA-256 of the tokens}. Reads the whole source once;
// `poll` may throw between files.
RawJson IdentifyInput(const Checkpoint& checkpoint, const std::vector<TokenBlock>& blocks,
                      const std::function<void()>& poll);

// Empty if a run of identity `now` may go on with one of identity `before`. Another build is named
// before anything else: it may round differently.
std::string WhyNotResumed(const RawJson& before, const RawJson& now);

// Whether that folder is the finished checkpoint of this version, options and input.
bool IsFinished(const std::filesystem::path& folder, std::string_view version,
                const RawJson& options, const RawJson& input);

}  // namespace awq
