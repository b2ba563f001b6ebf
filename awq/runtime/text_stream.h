// TextStream: tokens in, text out, held back as long as it may be the beginning of a stop string.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "awq/text/tokenizer.h"

namespace awq {

class TextStream {
 public:
  // Throws kInvalidArgument for an empty stop string.
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop);

  // The text that is settled by this token: whole characters, and nothing of a stop string.
  std::string Push(TokenId id);
  // What is still held back; the end came without a stop string.
  std::string Finish();
  // A stop string has appeared; what came before it has been handed out, nothing more will.
  bool stopped() const { return stopped_; }

 private:
  // Moves from pending_ what no stop string can claim any more.
  std::string Settle();

  std::unique_ptr<TokenStream> decoder_;
  std::vector<std::string> stop_;
  std::string pending_;
  bool stopped_ = false;
};

}  // namespace awq
