// Pre-tokenizers: how a text is cut into pieces that merges never cross.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "awq/text/regex.h"

namespace awq {

// One step of the chain. Pieces are valid UTF-8.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Appends the pieces of one piece; empty ones are left out. Views may point into `piece` or, for
  // text that a step adds, into `arena`, whose strings do not move.
  virtual void Split(std::string_view piece, std::vector<std::string_view>& out,
                     std::vector<std::unique_ptr<std::string>>& arena) const = 0;
};

// What happens to the matches of a splitting pattern; names and rules of Hugging Face tokenizers.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

std::unique_ptr<const PreTokenizer> MakeSplit(Regex pattern, SplitBehavior behavior, bool invert);
// Adds a space in front of a piece that does not begin with one, then cuts as GPT-2 does.
std::unique_ptr<const PreTokenizer> MakeByteLevel(bool add_prefix_space, bool use_regex);

}  // namespace awq
