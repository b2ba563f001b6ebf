// The byte alphabet of GPT-2: every byte as one printable character, so that vocabularies can be
// JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace awq {

// The bytes that a piece in the byte alphabet stands for; nothing when some character is not in it.
std::optional<std::string> BytesOfPiece(std::string_view piece);
// The piece that stands for bytes.
std::string PieceOfBytes(std::string_view bytes);
void AppendPieceOfBytes(std::string_view bytes, std::string& out);

}  // namespace awq
