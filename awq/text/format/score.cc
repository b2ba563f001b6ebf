#include "awq/text/format/score.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

namespace awq {
namespace {

double PowerOfTen(int exponent) {
  const std::string text = "1e" + std::to_string(exponent);
  double out = std::numeric_limits<double>::infinity();
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

double ScoreOf(std::string_view number) {
  const bool negative = number.starts_with('-');
  size_t at = negative ? 1 : 0;
  uint64_t digits = 0;
  int exponent = 0;
  bool point = false;
  bool full = false;  // no room for further digits
  for (; at < number.size() && (IsDigit(number[at]) || number[at] == '.'); ++at) {
    if (number[at] == '.') {
      point = true;
      continue;
    }
    const auto digit = static_cast<uint64_t>(number[at] - '0');
    full |= digits > (std::numeric_limits<uint64_t>::max() - digit) / 10;
    if (!full) digits = 10 * digits + digit;
    if (point != full) exponent += point ? -1 : 1;
  }
  if (at < number.size() && (number[at] == 'e' || number[at] == 'E')) {
    ++at;
    if (at < number.size() && number[at] == '+') ++at;
    int shift = 0;
    std::from_chars(number.data() + at, number.data() + number.size(), shift);
    exponent += shift;
  }
  auto value = static_cast<double>(digits);
  if (exponent < 0) {
    constexpr int kLargest = 308;
    for (; exponent < -kLargest && value != 0; exponent += kLargest) value /= 1e308;
    if (value != 0) value /= PowerOfTen(-exponent);
  } else if (exponent > 0) {
    value *= PowerOfTen(exponent);
  }
  return negative ? -value : value;
}

}  // namespace awq
