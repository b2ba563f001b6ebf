#include "awq/text/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

utf8proc_category_t Category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool IsLineEnd(char32_t c) {
  return (c >= 0xa && c <= 0xd) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

std::vector<std::string> SplitLines(std::string_view text, bool keep) {
  std::vector<std::string> out;
  std::string line;
  const auto characters = Characters(text);
  for (size_t i = 0; i < characters.size(); ++i) {
    if (!IsLineEnd(DecodeUtf8(characters[i]).code)) {
      line += characters[i];
      continue;
    }
    if (keep) line += characters[i];
    if (characters[i] == "\r" && i + 1 < characters.size() && characters[i + 1] == "\n") {
      ++i;
      if (keep) line += "\n";
    }
    out.push_back(std::exchange(line, {}));
  }
  if (!line.empty()) out.push_back(line);
  return out;
}

std::vector<std::string_view> Characters(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t length = DecodeUtf8(text).length;
    out.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

std::string Prefix(std::string_view text, int64_t count) {
  size_t at = 0;
  for (; count > 0 && at < text.size(); --count) at += DecodeUtf8(text.substr(at)).length;
  return std::string(text.substr(0, at));
}

int64_t CountCharacters(std::string_view text) {
  // Valid UTF-8: every byte but continuation bytes begins a character.
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

bool IsSpace(char32_t c) {
  if ((c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f) || c == 0x85) return true;
  const auto category = Category(c);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

// Unicode Standard Annex 31, with the characters that keep older identifiers valid.
bool BeginsIdentifier(char32_t c) {
  constexpr char32_t kOthers[] = {'_', 0x2118, 0x212e};
  return IsAlpha(c) || Category(c) == UTF8PROC_CATEGORY_NL ||
         std::find(std::begin(kOthers), std::end(kOthers), c) != std::end(kOthers);
}

bool ContinuesIdentifier(char32_t c) {
  if (BeginsIdentifier(c) || c == 0xb7 || c == 0x387 || (c >= 0x1369 && c <= 0x1371) ||
      c == 0x19da) {
    return true;
  }
  const auto category = Category(c);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_PC;
}

bool IsPrintable(char32_t c) {
  if (c == ' ') return true;
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

int DecimalValue(char32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c < 0x80 || Category(c) != UTF8PROC_CATEGORY_ND) return -1;
  // Digits come in runs of ten that begin at 0; those of mathematics stand without gaps.
  if (c >= 0x1d7ce && c <= 0x1d7ff) return static_cast<int>((c - 0x1d7ce) % 10);
  int value = 0;
  while (value < 9 && Category(c - 1 - static_cast<char32_t>(value)) == UTF8PROC_CATEGORY_ND)
    ++value;
  return value;
}

namespace {

bool InSet(std::string_view character, const std::string* set) {
  if (set == nullptr) return IsSpace(DecodeUtf8(character).code);
  const auto all = Characters(*set);
  return std::find(all.begin(), all.end(), character) != all.end();
}

}  // namespace

std::string_view StripLeft(std::string_view text, const std::string* set) {
  while (!text.empty()) {
    const size_t length = DecodeUtf8(text).length;
    if (!InSet(text.substr(0, length), set)) break;
    text.remove_prefix(length);
  }
  return text;
}

std::string_view StripRight(std::string_view text, const std::string* set) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (text[begin] & 0xc0) == 0x80) --begin;
    if (!InSet(text.substr(begin), set)) break;
    text = text.substr(0, begin);
  }
  return text;
}

}  // namespace awq::jinja
