#include "awq/text/utf8.h"

#include <algorithm>
#include <utility>

namespace awq {
namespace {

// What a lead byte asks for; the second byte's bounds rule out overlong forms, surrogates and more.
struct Lead {
  size_t length;
  unsigned low, high;  // of the second byte
};

Lead LeadOf(unsigned char b) {
  if (b < 0x80) return {1, 0, 0};
  if (b >= 0xc2 && b <= 0xdf) return {2, 0x80, 0xbf};
  if (b == 0xe0) return {3, 0xa0, 0xbf};
  if (b == 0xed) return {3, 0x80, 0x9f};
  if (b >= 0xe1 && b <= 0xef) return {3, 0x80, 0xbf};
  if (b == 0xf0) return {4, 0x90, 0xbf};
  if (b >= 0xf1 && b <= 0xf3) return {4, 0x80, 0xbf};
  if (b == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

}  // namespace

Utf8Char DecodeUtf8(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  const Lead lead = LeadOf(first);
  if (lead.length == 0) return {kReplacement, 1, false, false};
  if (lead.length == 1) return {first, 1, true, false};
  char32_t code = first & (0xffu >> (lead.length + 1));
  for (size_t i = 1; i < lead.length; ++i) {
    if (i == text.size()) return {kReplacement, i, false, true};
    const unsigned low = i == 1 ? lead.low : 0x80;
    const unsigned high = i == 1 ? lead.high : 0xbf;
    if (at(i) < low || at(i) > high) return {kReplacement, i, false, false};
    code = (code << 6) | (at(i) & 0x3fu);
  }
  return {code, lead.length, true, false};
}

void AppendUtf8(char32_t code, std::string& out) {
  const auto push = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xc0 | (code >> 6));
    push(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    push(0xe0 | (code >> 12));
    push(0x80 | ((code >> 6) & 0x3f));
    push(0x80 | (code & 0x3f));
  } else {
    push(0xf0 | (code >> 18));
    push(0x80 | ((code >> 12) & 0x3f));
    push(0x80 | ((code >> 6) & 0x3f));
    push(0x80 | (code & 0x3f));
  }
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = DecodeUtf8(text);
    if (c.valid) {
      out.append(text.substr(0, c.length));
    } else {
      AppendUtf8(kReplacement, out);
    }
    text.remove_prefix(c.length);
  }
  return out;
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    // Most text is ASCII.
    const auto ascii = static_cast<size_t>(
        std::find_if(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; }) -
        text.begin());
    text.remove_prefix(ascii);
    if (text.empty()) break;
    const Utf8Char c = DecodeUtf8(text);
    if (!c.valid) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

std::string_view LastCharacter(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  return text.substr(begin);
}

std::string Utf8Assembler::Push(std::string_view bytes) {
  pending_ += bytes;
  const size_t whole = CompleteUtf8Prefix(pending_);
  std::string out = ReplaceInvalidUtf8(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return out;
}

std::string Utf8Assembler::Finish() { return ReplaceInvalidUtf8(std::exchange(pending_, {})); }

size_t CompleteUtf8Prefix(std::string_view text) {
  // A cut character is at most three bytes long.
  const size_t first = text.size() < 3 ? 0 : text.size() - 3;
  for (size_t i = first; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) == 0x80) continue;
    if (DecodeUtf8(text.substr(i)).cut) return i;
  }
  return text.size();
}

}  // namespace awq
