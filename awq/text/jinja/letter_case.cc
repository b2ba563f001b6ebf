// Letters: their kinds and cases, as Python's str has them.
#include <utf8proc.h>

#include <algorithm>
#include <span>

#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

struct SpecialCase {
  char32_t code;
  char32_t upper[3];
  char32_t title[3];
};

#include "awq/text/jinja/case_tables.inc"

bool InRanges(std::span<const char32_t[2]> ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const auto& r) { return c >= r[0] && c <= r[1]; });
}

utf8proc_category_t Category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool IsTitleCase(char32_t c) { return Category(c) == UTF8PROC_CATEGORY_LT; }
bool IsCased(char32_t c) { return IsUpper(c) || IsLower(c) || IsTitleCase(c); }

// What does not count when the place of a sigma in its word is found.
bool IsCaseIgnorable(char32_t c) {
  static constexpr std::u32string_view kMarks =
      U"'.:^`\u00a8\u00ad\u00af\u00b4\u00b7\u00b8\u0387\u055f\u05f4\u2018\u2019\u2024\u2027"
      U"\ufe13\ufe52\ufe55\uff07\uff0e\uff1a";
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return kMarks.find(c) != std::u32string_view::npos;
  }
}

void AppendUpper(char32_t c, bool title, std::string& out) {
  for (const SpecialCase& s : kSpecialCases) {
    if (s.code != c) continue;
    for (char32_t part : title ? s.title : s.upper) {
      if (part != 0) AppendUtf8(part, out);
    }
    return;
  }
  const auto code = static_cast<utf8proc_int32_t>(c);
  AppendUtf8(static_cast<char32_t>(title ? utf8proc_totitle(code) : utf8proc_toupper(code)), out);
}

std::u32string Codes(std::string_view text) {
  std::u32string out;
  for (; !text.empty(); text.remove_prefix(DecodeUtf8(text).length)) out += DecodeUtf8(text).code;
  return out;
}

// A sigma at the end of a word has a form of its own.
bool IsFinalSigma(std::u32string_view text, size_t at) {
  size_t before = at;
  while (before > 0 && IsCaseIgnorable(text[before - 1])) --before;
  if (before == 0 || !IsCased(text[before - 1])) return false;
  size_t after = at + 1;
  while (after < text.size() && IsCaseIgnorable(text[after])) ++after;
  return after == text.size() || !IsCased(text[after]);
}

void AppendLower(std::u32string_view text, size_t at, std::string& out) {
  const char32_t c = text[at];
  if (c == 0x130) {
    out += "i\xCC\x87";
  } else if (c == 0x3a3) {
    AppendUtf8(IsFinalSigma(text, at) ? 0x3c2 : 0x3c3, out);
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
  }
}

}  // namespace

bool IsAlpha(char32_t c) {
  switch (Category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return true;
    default:
      return false;
  }
}
bool IsDecimal(char32_t c) { return Category(c) == UTF8PROC_CATEGORY_ND; }
bool IsDigit(char32_t c) { return IsDecimal(c) || InRanges(kOtherDigits, c); }
bool IsNumeric(char32_t c) {
  const auto category = Category(c);
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO || InRanges(kOtherNumeric, c);
}
bool IsUpper(char32_t c) { return Category(c) == UTF8PROC_CATEGORY_LU || InRanges(kOtherUpper, c); }
bool IsLower(char32_t c) { return Category(c) == UTF8PROC_CATEGORY_LL || InRanges(kOtherLower, c); }

std::string Upper(std::string_view text) {
  std::string out;
  for (char32_t c : Codes(text)) AppendUpper(c, false, out);
  return out;
}

std::string Lower(std::string_view text) {
  std::string out;
  const std::u32string codes = Codes(text);
  for (size_t i = 0; i < codes.size(); ++i) AppendLower(codes, i, out);
  return out;
}

std::string SwapCase(std::string_view text) {
  std::string out;
  const std::u32string codes = Codes(text);
  for (size_t i = 0; i < codes.size(); ++i) {
    if (IsUpper(codes[i])) {
      AppendLower(codes, i, out);
    } else if (IsLower(codes[i])) {
      AppendUpper(codes[i], false, out);
    } else {
      AppendUtf8(codes[i], out);
    }
  }
  return out;
}

std::string Title(std::string_view text) {
  std::string out;
  const std::u32string codes = Codes(text);
  for (size_t i = 0; i < codes.size(); ++i) {
    if (i > 0 && IsCased(codes[i - 1])) {
      AppendLower(codes, i, out);
    } else {
      AppendUpper(codes[i], true, out);
    }
  }
  return out;
}

bool IsTitle(std::string_view text) {
  bool cased = false;
  bool any = false;
  for (char32_t c : Codes(text)) {
    if (IsUpper(c) || IsTitleCase(c)) {
      if (cased) return false;
      cased = any = true;
    } else if (IsLower(c)) {
      if (!cased) return false;
      any = true;
    } else {
      cased = false;
    }
  }
  return any;
}

std::string Capitalize(std::string_view text) {
  std::string out;
  const std::u32string codes = Codes(text);
  if (!codes.empty()) AppendUpper(codes[0], true, out);
  for (size_t i = 1; i < codes.size(); ++i) AppendLower(codes, i, out);
  return out;
}

bool IsOneCase(std::string_view text, bool upper) {
  bool any = false;
  for (char32_t c : Codes(text)) {
    if (IsTitleCase(c) || (upper ? IsLower(c) : IsUpper(c))) return false;
    any = any || (upper ? IsUpper(c) : IsLower(c));
  }
  return any;
}

}  // namespace awq::jinja
