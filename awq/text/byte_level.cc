#include "awq/text/byte_level.h"

#include <array>

#include "awq/text/utf8.h"

namespace awq {
namespace {

// Printable Latin-1 bytes stand for themselves, the other 68 for U+0100 onwards in their order.
constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Alphabet {
  std::array<char32_t, 256> character{};
  std::array<int, 0x144> byte{};  // -1: not in the alphabet
};

constexpr Alphabet MakeAlphabet() {
  Alphabet a;
  for (int& b : a.byte) b = -1;
  char32_t next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const char32_t c = StandsForItself(b) ? static_cast<char32_t>(b) : next++;
    a.character[static_cast<size_t>(b)] = c;
    a.byte[c] = b;
  }
  return a;
}
constexpr Alphabet kAlphabet = MakeAlphabet();

}  // namespace

std::optional<std::string> BytesOfPiece(std::string_view piece) {
  std::string out;
  out.reserve(piece.size());
  while (!piece.empty()) {
    const Utf8Char c = DecodeUtf8(piece);
    if (!c.valid || c.code >= kAlphabet.byte.size() || kAlphabet.byte[c.code] < 0)
      return std::nullopt;
    out += static_cast<char>(kAlphabet.byte[c.code]);
    piece.remove_prefix(c.length);
  }
  return out;
}

std::string PieceOfBytes(std::string_view bytes) {
  std::string out;
  AppendPieceOfBytes(bytes, out);
  return out;
}

void AppendPieceOfBytes(std::string_view bytes, std::string& out) {
  const size_t size = out.size();
  out.resize(size + 2 * bytes.size());  // the alphabet's characters take one or two bytes
  char* at = out.data() + size;
  for (char b : bytes) {
    const char32_t c = kAlphabet.character[static_cast<unsigned char>(b)];
    if (c < 0x80) {
      *at++ = static_cast<char>(c);
    } else {
      *at++ = static_cast<char>(0xc0 | (c >> 6));
      *at++ = static_cast<char>(0x80 | (c & 0x3f));
    }
  }
  out.resize(static_cast<size_t>(at - out.data()));
}

}  // namespace awq
