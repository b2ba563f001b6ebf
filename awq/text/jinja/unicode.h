// Strings as Python sees them: sequences of code points with Unicode's properties.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace awq::jinja {

// One view a code point.
std::vector<std::string_view> Characters(std::string_view text);
int64_t CountCharacters(std::string_view text);
// The first `count` characters, or all.
std::string Prefix(std::string_view text, int64_t count);

// str.splitlines()
std::vector<std::string> SplitLines(std::string_view text, bool keep_ends);
// Python's float(text) and int(text, base); false when it is no number.
bool ReadDouble(std::string_view text, double& out);
// Throws EvalError for integers beyond 64 bits.
bool ReadInteger(std::string_view text, int64_t base, int64_t& out);

bool IsSpace(char32_t c);      // str.isspace
bool IsPrintable(char32_t c);  // str.isprintable
bool IsAlpha(char32_t c);
bool IsDecimal(char32_t c);
bool IsDigit(char32_t c);
bool IsNumeric(char32_t c);
// The value of a decimal digit of any script; -1 for other characters.
int DecimalValue(char32_t c);
// str.isidentifier: of the first character, and of those after it.
bool BeginsIdentifier(char32_t c);
bool ContinuesIdentifier(char32_t c);
bool IsUpper(char32_t c);
bool IsLower(char32_t c);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string SwapCase(std::string_view text);
// The first letter of every run of letters in upper case, the rest in lower case.
std::string Title(std::string_view text);
bool IsTitle(std::string_view text);
std::string Capitalize(std::string_view text);
// str.isupper or str.islower.
bool IsOneCase(std::string_view text, bool upper);

// str.strip family; without `set`: white space.
std::string_view StripLeft(std::string_view text, const std::string* set = nullptr);
std::string_view StripRight(std::string_view text, const std::string* set = nullptr);
inline std::string_view Strip(std::string_view text, const std::string* set = nullptr) {
  return StripRight(StripLeft(text, set), set);
}

}  // namespace awq::jinja
