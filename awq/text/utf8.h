// UTF-8: decoding, encoding, and the replacement of what is no UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace awq {

inline constexpr char32_t kReplacement = 0xfffd;

struct Utf8Char {
  char32_t code = 0;
  size_t length = 0;   // bytes consumed, at least 1
  bool valid = false;  // otherwise `length` bytes are one maximal invalid subpart
  bool cut = false;    // invalid only because the text ends here
};

// The character at the start of a text that is not empty.
Utf8Char DecodeUtf8(std::string_view text);
void AppendUtf8(char32_t code, std::string& out);
// Each maximal invalid subpart becomes U+FFFD, as Unicode recommends and the WHATWG and Rust do.
std::string ReplaceInvalidUtf8(std::string_view text);
bool IsValidUtf8(std::string_view text);
// Bytes of `text` before a character that its end cuts off.
size_t CompleteUtf8Prefix(std::string_view text);

bool IsAscii(std::string_view text);
// The last character of valid UTF-8 that is not empty.
std::string_view LastCharacter(std::string_view text);

// Puts characters together from bytes that arrive in parts.
class Utf8Assembler {
 public:
  // The characters that these bytes complete; what is invalid as U+FFFD.
  std::string Push(std::string_view bytes);
  // What is still held back, as U+FFFD.
  std::string Finish();

 private:
  std::string pending_;  // the beginning of a character
};

}  // namespace awq
