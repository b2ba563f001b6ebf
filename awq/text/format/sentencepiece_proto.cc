#include "awq/text/format/sentencepiece_proto.h"

#include <cmath>

#include "awq/text/format/protobuf.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

using Proto = SentencePieceProto;

Proto::Piece ParsePiece(std::string_view message) {
  Proto::Piece out;
  ProtobufReader reader(message);
  for (ProtobufField f; reader.Next(f);) {
    if (f.number() == 1) out.text = f.Bytes();
    if (f.number() == 2) out.score = f.Float();
    if (f.number() == 3) {
      const uint64_t type = f.Varint();
      AWQ_CHECK(type >= Proto::kNormal && type <= Proto::kByte, kCorrupt, "type ", type);
      out.type = static_cast<Proto::Type>(type);
    }
  }
  AWQ_CHECK(!out.text.empty() && IsValidUtf8(out.text), kCorrupt, "empty or no UTF-8");
  AWQ_CHECK(std::isfinite(out.score), kCorrupt, "the score is ", out.score);
  return out;
}

void ParseTrainer(std::string_view message, Proto& out) {
  ProtobufReader reader(message);
  for (ProtobufField f; reader.Next(f);) {
    switch (f.number()) {
      case 3: {
        const uint64_t type = f.Varint();
        AWQ_CHECK(type == Proto::kUnigram || type == Proto::kBpe, kUnsupported, "model type ", type,
                  "; supported: 1 (unigram), 2 (BPE)");
        out.model_type = static_cast<Proto::ModelType>(type);
        break;
      }
      case 24:
        out.treat_whitespace_as_suffix = f.Bool();
        break;
      case 35:
        out.byte_fallback = f.Bool();
        break;
      case 41:
        out.bos_id = static_cast<int32_t>(f.Varint());
        break;
      case 42:
        out.eos_id = static_cast<int32_t>(f.Varint());
        break;
      default:
        break;
    }
  }
}

void ParseNormalizer(std::string_view message, Proto& out) {
  ProtobufReader reader(message);
  for (ProtobufField f; reader.Next(f);) {
    if (f.number() == 2) out.charsmap = f.Bytes();
    if (f.number() == 3) out.add_dummy_prefix = f.Bool();
    if (f.number() == 4) out.remove_extra_whitespaces = f.Bool();
    if (f.number() == 5) out.escape_whitespaces = f.Bool();
  }
}

}  // namespace

SentencePieceProto SentencePieceProto::Parse(std::string_view file) {
  SentencePieceProto out;
  ProtobufReader reader(file);
  for (ProtobufField f; reader.Next(f);) {
    if (f.number() == 1) {
      try {
        out.pieces.push_back(ParsePiece(f.Bytes()));
      } catch (const Error& e) {
        Fail(e.code(), "piece ", out.pieces.size(), ": ", e.what());
      }
    }
    if (f.number() == 2) ParseTrainer(f.Bytes(), out);
    if (f.number() == 3) ParseNormalizer(f.Bytes(), out);
  }
  AWQ_CHECK(!out.pieces.empty(), kCorrupt, "no pieces");
  return out;
}

}  // namespace awq
