// Decoders of tokens that stand for bytes.
#include <optional>

#include "awq/text/byte_level.h"
#include "awq/text/decoder/decoders.h"
#include "awq/text/decoder/step_maker.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

class ByteLevelStep : public WholeTokenStep {
 public:
  using WholeTokenStep::WholeTokenStep;

  void Finish() override {
    next_->Push(assembler_.Finish(), !begun_, true);
    next_->Finish();
  }

 protected:
  void Token(std::string_view token) override {
    const auto bytes = BytesOfPiece(token);
    const std::string text = assembler_.Push(bytes ? std::string_view(*bytes) : token);
    if (text.empty()) return;
    next_->Push(text, !begun_, false);
    begun_ = true;
  }

 private:
  Utf8Assembler assembler_;
  bool begun_ = false;
};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// "<0x0A>"; like Rust's parser, which Hugging Face calls, "<0x+A>" as well.
std::optional<char> ByteOf(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const int high = token[3] == '+' ? 0 : HexDigit(token[3]);
  const int low = HexDigit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

// Holds a run of bytes back until its end: one invalid byte spoils all of it.
class ByteFallbackStep : public WholeTokenStep {
 public:
  using WholeTokenStep::WholeTokenStep;

  void Finish() override {
    Flush();
    next_->Finish();
  }

 protected:
  void Token(std::string_view token) override {
    if (const auto byte = ByteOf(token)) {
      run_ += *byte;
      return;
    }
    Flush();
    Emit(token);
  }

 private:
  void Flush() {
    if (run_.empty()) return;
    if (IsValidUtf8(run_)) {
      Emit(run_);
    } else {
      for (size_t i = 0; i < run_.size(); ++i) Emit("\xef\xbf\xbd");
    }
    run_.clear();
  }

  std::string run_;
};

}  // namespace

std::unique_ptr<const Decoder> MakeByteLevelDecoder() { return MakeDecoder<ByteLevelStep>(); }
std::unique_ptr<const Decoder> MakeByteFallback() { return MakeDecoder<ByteFallbackStep>(); }

}  // namespace awq
