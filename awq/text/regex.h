// Regex: the patterns of tokenizers, on PCRE2, with the meaning that Oniguruma's Ruby syntax gives
// them.
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

  // Calls match(begin, end) for each match from left to right; an empty one only where the one
  // before does not end. `text` is valid UTF-8. Throws kUnsupported when one match needs more
  // steps than the engine allows, or all of them more time than any text should take.
  void Each(std::string_view text, const std::function<void(size_t, size_t)>& match) const;

 private:
  struct Code;
  std::shared_ptr<const Code> Compile(const std::string& translated) const;
  std::shared_ptr<const Code> code_;
  std::shared_ptr<const Code> newest_;  // for texts with characters that are too new for PCRE2
  std::string pattern_;
};

// What PCRE2 has to be given for a pattern of Oniguruma's; `newest` with characters that are too
// new for PCRE2's tables spelled out, which makes matching slower.
std::string TranslateRegex(std::string_view pattern, bool newest);
// Whether a text has such characters.
bool HasNewestCharacters(std::string_view text);

// A pattern that matches exactly this text.
std::string EscapeRegex(std::string_view literal);

}  // namespace awq
