#include "awq/text/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

utf8proc_category_t Category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool IsCased(char32_t c) {
  const auto category = Category(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

void AppendUpper(char32_t c, std::string& out) {
  if (c == 0xdf) {
    out += "SS";
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))), out);
  }
}

void AppendLower(char32_t c, std::string& out) {
  if (c == 0x130) {
    out += "i\xCC\x87";
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
  }
}

template <typename Each>
void ForEach(std::string_view text, const Each& each) {
  while (!text.empty()) {
    const Utf8Char c = DecodeUtf8(text);
    each(c.code);
    text.remove_prefix(c.length);
  }
}

// Case of a final sigma depends on what precedes it.
bool IsFinalSigma(std::string_view text, size_t at, size_t length) {
  bool before = false;
  ForEach(text.substr(0, at), [&](char32_t c) { before = IsCased(c) || (before && c == 0x27); });
  if (!before) return false;
  const std::string_view rest = text.substr(at + length);
  return rest.empty() || !IsCased(DecodeUtf8(rest).code);
}

}  // namespace

std::vector<std::string_view> Characters(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t length = DecodeUtf8(text).length;
    out.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
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

bool IsAlpha(char32_t c) {
  const auto category = Category(c);
  return IsCased(c) || category == UTF8PROC_CATEGORY_LM || category == UTF8PROC_CATEGORY_LO;
}
bool IsDigit(char32_t c) {
  return Category(c) == UTF8PROC_CATEGORY_ND || c == 0xb2 || c == 0xb3 || c == 0xb9 ||
         (c >= 0x2070 && c <= 0x2089 && c != 0x2071);
}
bool IsUpper(char32_t c) { return Category(c) == UTF8PROC_CATEGORY_LU; }
bool IsLower(char32_t c) { return Category(c) == UTF8PROC_CATEGORY_LL; }

std::string Upper(std::string_view text) {
  std::string out;
  ForEach(text, [&](char32_t c) { AppendUpper(c, out); });
  return out;
}

std::string Lower(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(at));
    if (c.code == 0x3a3 && IsFinalSigma(text, at, c.length)) {
      AppendUtf8(0x3c2, out);
    } else {
      AppendLower(c.code, out);
    }
    at += c.length;
  }
  return out;
}

std::string Title(std::string_view text) {
  std::string out;
  bool inside = false;
  ForEach(text, [&](char32_t c) {
    if (inside) {
      AppendLower(c, out);
    } else {
      AppendUtf8(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))), out);
    }
    inside = IsCased(c);
  });
  return out;
}

std::string Capitalize(std::string_view text) {
  if (text.empty()) return "";
  const Utf8Char first = DecodeUtf8(text);
  std::string out;
  AppendUtf8(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(first.code))),
             out);
  return out + Lower(text.substr(first.length));
}

namespace {

bool InSet(std::string_view character, std::string_view set) {
  if (set.empty()) return IsSpace(DecodeUtf8(character).code);
  const auto all = Characters(set);
  return std::find(all.begin(), all.end(), character) != all.end();
}

}  // namespace

std::string_view StripLeft(std::string_view text, std::string_view set) {
  while (!text.empty()) {
    const size_t length = DecodeUtf8(text).length;
    if (!InSet(text.substr(0, length), set)) break;
    text.remove_prefix(length);
  }
  return text;
}

std::string_view StripRight(std::string_view text, std::string_view set) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (text[begin] & 0xc0) == 0x80) --begin;
    if (!InSet(text.substr(begin), set)) break;
    text = text.substr(0, begin);
  }
  return text;
}

}  // namespace awq::jinja
