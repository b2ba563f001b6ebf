#include "awq/text/decoder.h"

#include <utility>

namespace awq {

void WholeTokenStep::Push(std::string_view text, bool begins, bool ends) {
  if (begins && ends) {
    Token(text);
    return;
  }
  token_ += text;
  if (!ends) return;
  Token(token_);
  token_.clear();
}

class Decoding::Output : public DecodeStep {
 public:
  Output() : DecodeStep(nullptr) {}
  void Push(std::string_view text, bool, bool) override { text_ += text; }
  void Finish() override {}
  std::string Take() { return std::exchange(text_, {}); }

 private:
  std::string text_;
};

Decoding::Decoding(const DecoderList& decoders)
    : output_(std::make_unique<Output>()), first_(output_.get()) {
  for (size_t i = decoders.size(); i-- > 0;) {
    steps_.push_back(decoders[i]->Start(first_));
    first_ = steps_.back().get();
  }
}

Decoding::~Decoding() = default;

std::string Decoding::Take() { return output_->Take(); }

}  // namespace awq
