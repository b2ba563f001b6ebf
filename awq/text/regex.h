// Regex: the split patterns of tokenizers, on PCRE2, with the meaning that Oniguruma gives them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace awq {

// Immutable; safe to use from several threads.
class Regex {
 public:
  // Throws kCorrupt naming the pattern and the position.
  explicit Regex(std::string_view pattern);

  // Calls match(begin, end) for each match from left to right. `text` is valid UTF-8. Throws
  // kUnsupported when a match needs more steps than the engine allows.
  void Each(std::string_view text, const std::function<void(size_t, size_t)>& match) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

// A pattern that matches exactly this text.
std::string EscapeRegex(std::string_view literal);

}  // namespace awq
