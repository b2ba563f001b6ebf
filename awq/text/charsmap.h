// Charsmap: the replacement rules that SentencePiece compiles into a model (NormalizerSpec's
// precompiled_charsmap): u32 size of a double-array trie, the trie, the replacements, each ending
// in NUL. The trie's layout is that of Darts (J. Aoe, IEEE TSE 15(9), 1989).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace awq {

class Charsmap {
 public:
  // Throws kCorrupt.
  explicit Charsmap(std::string_view data);

  struct Match {
    size_t length;  // bytes of the text that are replaced
    std::string_view replacement;
  };
  // The shortest or the longest rule that the text begins with.
  std::optional<Match> Shortest(std::string_view text) const { return Find(text, false); }
  std::optional<Match> Longest(std::string_view text) const { return Find(text, true); }

 private:
  std::optional<Match> Find(std::string_view text, bool longest) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace awq
