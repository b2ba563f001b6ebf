#include "awq/text/regex.h"

#include <cstdint>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "awq/base/error.h"

namespace awq {
namespace {

// Unicode's White_Space. PCRE2's \s also takes U+180E, which lost that property in Unicode 6.3.
constexpr std::string_view kSpaces =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
    "\\x{205f}\\x{3000}";
constexpr std::string_view kWords = "\\p{L}\\p{M}\\p{Nd}\\p{Pc}";

// Spells out the classes whose members differ between the two engines.
std::string Translate(std::string_view pattern) {
  std::string out;
  int depth = 0;  // of brackets
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      const std::string_view members = next == 's' || next == 'S'   ? kSpaces
                                       : next == 'w' || next == 'W' ? kWords
                                                                    : std::string_view();
      const bool negated = next == 'S' || next == 'W';
      if (members.empty() || (negated && depth > 0)) {
        out += {c, next};
      } else if (depth > 0) {
        out += members;
      } else {
        out += Cat(negated ? "[^" : "[", members, "]");
      }
      continue;
    }
    if (c == '[') ++depth;
    if (c == ']' && depth > 0) --depth;
    out += c;
  }
  return out;
}

struct MatchData {
  explicit MatchData(const pcre2_code* code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)) {}
  ~MatchData() { pcre2_match_data_free(data); }
  MatchData(const MatchData&) = delete;
  MatchData& operator=(const MatchData&) = delete;
  pcre2_match_data* data;
};

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* c) : code(c) {}
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  pcre2_code* code;
};

Regex::Regex(std::string_view pattern) {
  AWQ_CHECK(pattern.size() < 100000, kCorrupt, "a split pattern of ", pattern.size(), " bytes");
  const std::string translated = Translate(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof message);
    Fail(ErrorCode::kCorrupt, "split pattern \"", pattern,
         "\": ", reinterpret_cast<const char*>(message), " near byte ", offset);
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it matching is slower, not different
  code_ = std::make_shared<const Code>(code);
}

void Regex::Each(std::string_view text, const std::function<void(size_t, size_t)>& match) const {
  const MatchData data(code_->code);
  AWQ_CHECK(data.data != nullptr, kOutOfMemory, "cannot allocate a regex match");
  size_t at = 0;
  while (at <= text.size()) {
    const int found = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), at, PCRE2_NO_UTF_CHECK, data.data, nullptr);
    if (found == PCRE2_ERROR_NOMATCH) return;
    AWQ_CHECK(found >= 0, kUnsupported, "split pattern: matching failed at byte ", at, " of ",
              text.size(), " (error ", found, ")");
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.data);
    const size_t begin = span[0];
    const size_t end = span[1];
    if (end <= begin) {  // empty: step over one character
      at = begin + 1;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
      continue;
    }
    match(begin, end);
    at = end;
  }
}

std::string EscapeRegex(std::string_view literal) {
  std::string out;
  for (char c : literal) {
    const bool plain = (c & 0x80) != 0 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                       (c >= 'A' && c <= 'Z') || c == '_' || c == ' ';
    if (!plain) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace awq
