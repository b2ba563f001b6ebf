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

bool IsSpace(char32_t c);      // str.isspace
bool IsPrintable(char32_t c);  // str.isprintable
bool IsAlpha(char32_t c);
bool IsDigit(char32_t c);
bool IsUpper(char32_t c);
bool IsLower(char32_t c);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
// The first letter of every run of letters in upper case, the rest in lower case.
std::string Title(std::string_view text);
std::string Capitalize(std::string_view text);

// str.strip family; `set` empty: white space.
std::string_view StripLeft(std::string_view text, std::string_view set = {});
std::string_view StripRight(std::string_view text, std::string_view set = {});
inline std::string_view Strip(std::string_view text, std::string_view set = {}) {
  return StripRight(StripLeft(text, set), set);
}

}  // namespace awq::jinja
