#include "awq/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "awq/text/utf8.h"

namespace awq {
namespace {

struct CharRange {
  char32_t first, last;
};
struct ScriptRange {
  char32_t first;  // up to the next range
  int script;      // -1: none
};
struct LowerCase {
  char32_t from, to;
};

// Made by tools/make_unicode_tables.py.
#include "awq/text/unicode_tables.inc"

template <typename Table>
bool In(const Table& table, char32_t c) {
  const auto it = std::upper_bound(std::begin(table), std::end(table), c,
                                   [](char32_t x, const CharRange& r) { return x < r.first; });
  return it != std::begin(table) && c <= std::prev(it)->last;
}

utf8proc_category_t Category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

}  // namespace

bool IsSpace(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0d);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool IsWord(char32_t c) {
  if (c < 0x80) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }
  const auto category = Category(c);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ND) ||
         category == UTF8PROC_CATEGORY_PC || In(kWordThere, c);
}

bool IsPunctuation(char32_t c) {
  if (c < 0x80) return c > ' ' && c < 0x7f && (c == '_' || !IsWord(c));
  const auto category = Category(c);
  if (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO) {
    return !In(kPunctuationHere, c);
  }
  return In(kPunctuationThere, c);
}

bool IsNumeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const auto category = Category(c);
  return (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) ||
         In(kNumericThere, c);
}

bool IsMark(char32_t c) {
  if (c < 0x300) return false;
  const auto category = Category(c);
  if (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME) {
    return !In(kMarkHere, c);
  }
  return In(kMarkThere, c);
}

bool IsNonspacingMark(char32_t c) {
  if (c < 0x300) return false;
  if (Category(c) == UTF8PROC_CATEGORY_MN) return !In(kNonspacingHere, c);
  return In(kNonspacingThere, c);
}

bool IsOther(char32_t c) {
  if (c < 0x80) return c < ' ' || c == 0x7f;
  const auto category = Category(c);
  if (category >= UTF8PROC_CATEGORY_CC) {
    return !In(kOtherHere, c);
  }
  return In(kOtherThere, c);
}

void AppendLower(char32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return;
  }
  if (c == 0x130) {  // the one character whose lower case is two
    out += "i\xcc\x87";
    return;
  }
  const auto it = std::lower_bound(std::begin(kLowerThere), std::end(kLowerThere), c,
                                   [](const LowerCase& l, char32_t x) { return l.from < x; });
  if (it != std::end(kLowerThere) && it->from == c) {
    AppendUtf8(it->to, out);
    return;
  }
  AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
}

bool IsNormalizedOnlyHere(char32_t c) { return c >= 0x300 && In(kNormalizedHere, c); }

std::optional<int> ScriptOf(char32_t c) {
  const auto it = std::upper_bound(std::begin(kScripts), std::end(kScripts), c,
                                   [](char32_t x, const ScriptRange& r) { return x < r.first; });
  const int script = std::prev(it)->script;
  if (script < 0) return std::nullopt;
  return script;
}

}  // namespace awq
