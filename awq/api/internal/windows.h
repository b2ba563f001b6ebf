// Internal to api: a text's tokens cut into windows that a model is scored on.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace awq {

struct Window {
  std::vector<int32_t> inputs;
  std::vector<int32_t> targets;  // target i follows input i; there may be one fewer than inputs
};

// The protocols of EvaluateOptions::bos: with a BOS token, or plain. max_windows 0: all.
std::vector<Window> CutWindows(std::span<const int32_t> tokens, int64_t window,
                               std::optional<int32_t> bos, int64_t max_windows);

}  // namespace awq
