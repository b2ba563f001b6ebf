// MapChars: a normalizer step that looks at one character at a time.
#pragma once

#include <utility>

#include "awq/text/normalizer.h"
#include "awq/text/utf8.h"

namespace awq {

// Calls put(code, out) for every character, which appends what stands in its place.
template <typename Put>
void MapChars(NormalText& text, const Put& put) {
  std::string out;
  out.reserve(text.text.size() + text.text.size() / 8);
  size_t head = 0;
  for (size_t at = 0; at < text.text.size();) {
    const Utf8Char c = DecodeUtf8(std::string_view(text.text).substr(at));
    put(c.code, out);
    if (at < text.head) head = out.size();
    at += c.length;
  }
  text.text = std::move(out);
  text.head = head;
}

}  // namespace awq
