// Numbers read from text as Python reads them.
#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "awq/text/jinja/unicode.h"
#include "awq/text/jinja/value.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

// White space around it removed, Unicode's digits made ASCII's; empty when it cannot be a number.
std::string Normalize(std::string_view text) {
  std::string out;
  for (std::string_view c : Characters(Strip(text))) {
    const char32_t code = DecodeUtf8(c).code;
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (const int digit = DecimalValue(code); digit >= 0) {
      out += static_cast<char>('0' + digit);
    } else {
      return "";
    }
  }
  return out;
}

// Removes the underscores between digits; false when one stands elsewhere.
bool RemoveUnderscores(std::string& text) {
  const auto alnum = [&](size_t i) {
    return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i])) != 0;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_' && (i == 0 || !alnum(i - 1) || !alnum(i + 1))) return false;
  }
  std::erase(text, '_');
  return true;
}

}  // namespace

bool ReadDouble(std::string_view input, double& out) {
  std::string text = Normalize(input);
  if (text.empty() || !RemoveUnderscores(text)) return false;
  const std::string word = Lower(text.substr(text[0] == '+' || text[0] == '-' ? 1 : 0));
  const bool named = word == "inf" || word == "infinity" || word == "nan";
  if (!named && word.find_first_not_of("0123456789.e+-") != std::string::npos) return false;
  if (!named && word.find_first_of("0123456789.") != 0) return false;
  char* end = nullptr;
  out = std::strtod(text.c_str(), &end);
  return *end == '\0' && end != text.c_str();
}

bool ReadInteger(std::string_view input, int64_t base, int64_t& out) {
  if (base != 0 && (base < 2 || base > 36)) Raise("int() base must be >= 2 and <= 36, or 0");
  std::string text = Normalize(input);
  if (text.empty()) return false;
  const bool negative = text[0] == '-';
  if (negative || text[0] == '+') text.erase(0, 1);
  const char prefix = text.size() > 1 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : '\0';
  const int64_t prefixed = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
  if (prefixed != 0 && (base == prefixed || base == 0)) {
    base = prefixed;
    text.erase(0, 2);
    if (text.size() > 1 && text[0] == '_') text.erase(0, 1);
  } else if (base == 0) {
    base = 10;
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != std::string::npos)
      return false;
  }
  if (text.empty() || !RemoveUnderscores(text)) return false;
  uint64_t value = 0;
  for (char c : text) {
    const int lower = c | 0x20;
    const int digit = c >= '0' && c <= '9'           ? c - '0'
                      : lower >= 'a' && lower <= 'z' ? lower - 'a' + 10
                                                     : 99;
    if (digit >= base) return false;
  }
  for (char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    if (value > (static_cast<uint64_t>(INT64_MAX) - static_cast<uint64_t>(digit)) /
                    static_cast<uint64_t>(base))
      Raise("limit: an integer beyond 64 bits");
    value = value * static_cast<uint64_t>(base) + static_cast<uint64_t>(digit);
  }
  out = negative ? -static_cast<int64_t>(value) : static_cast<int64_t>(value);
  return true;
}

}  // namespace awq::jinja
