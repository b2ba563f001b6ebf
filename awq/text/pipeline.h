// Pipeline: a tokenizer put together from components, as tokenizer.json describes it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "awq/text/added_tokens.h"
#include "awq/text/decoder.h"
#include "awq/text/model.h"
#include "awq/text/normalizer.h"
#include "awq/text/post_processor.h"
#include "awq/text/pretokenizer.h"
#include "awq/text/tokenizer.h"

namespace awq {

struct PipelineParts {
  NormalizerList normalizers;
  PreTokenizerList pre_tokenizers;
  std::unique_ptr<const Model> model;
  std::vector<AddedToken> added;
  PostProcessor post_processor;
  DecoderList decoders;
};

class Pipeline : public Tokenizer {
 public:
  explicit Pipeline(PipelineParts parts);

  std::vector<TokenId> Encode(std::string_view text, bool special) const override;
  std::unique_ptr<TokenStream> StartDecoding(bool skip_special) const override;
  int64_t VocabSize() const override;
  std::string Piece(TokenId id) const override { return std::string(Spelling(id)); }
  std::optional<TokenId> Find(std::string_view piece) const override;
  bool IsSpecial(TokenId id) const override;

 private:
  class Words;
  class Stream;
  bool Has(TokenId id) const;
  std::string_view Spelling(TokenId id) const;
  void EncodeNormalized(std::string_view text, size_t head, Words& words) const;

  PipelineParts parts_;
  AddedTokens added_;
};

}  // namespace awq
