// SentencePieceProto: what a SentencePiece model file (sentencepiece_model.proto) says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace awq {

struct SentencePieceProto {
  enum Type { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };
  enum ModelType { kUnigram = 1, kBpe, kWord, kChar };

  struct Piece {
    std::string text;
    float score = 0;
    Type type = kNormal;
  };
  std::vector<Piece> pieces;  // by id
  ModelType model_type = kUnigram;
  bool byte_fallback = false;
  bool treat_whitespace_as_suffix = false;
  int64_t bos_id = 1, eos_id = 2;  // -1: none
  std::string charsmap;            // empty: characters stay as they are
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;

  // Throws kCorrupt, kUnsupported.
  static SentencePieceProto Parse(std::string_view file);
};

}  // namespace awq
