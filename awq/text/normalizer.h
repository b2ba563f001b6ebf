// Normalizers: what is done to a text before it is cut.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace awq {

// Valid UTF-8 under normalization.
struct NormalText {
  std::string text;
  size_t head = 0;     // see Piece::head
  size_t longest = 0;  // bytes the text may grow to

  // Throws kUnsupported where a step would make the text longer than that: a short tokenizer.json
  // can ask for a text of any length.
  void CheckLength(size_t size) const;
};

// One step; immutable.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void Apply(NormalText& text) const = 0;
};

using NormalizerList = std::vector<std::unique_ptr<const Normalizer>>;

// `head` as in Piece. Throws kUnsupported when the text grows to 64 times its length and 1 MiB.
NormalText Normalize(const NormalizerList& steps, std::string_view text, size_t head);

}  // namespace awq
