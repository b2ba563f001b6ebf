// Decoders: tokens → text, one token at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace awq {

// A step of one decoding at work. Tokens come in parts, since a step that fuses tokens hands on
// the beginning before the end is known.
class DecodeStep {
 public:
  explicit DecodeStep(DecodeStep* next) : next_(next) {}
  virtual ~DecodeStep() = default;

  // Valid UTF-8. A whole token begins and ends in the same call.
  virtual void Push(std::string_view text, bool begins, bool ends) = 0;
  // No more tokens.
  virtual void Finish() { next_->Finish(); }

 protected:
  void Emit(std::string_view token) { next_->Push(token, true, true); }
  DecodeStep* next_;
};

// A step that needs whole tokens.
class WholeTokenStep : public DecodeStep {
 public:
  using DecodeStep::DecodeStep;
  void Push(std::string_view text, bool begins, bool ends) final;

 protected:
  virtual void Token(std::string_view token) = 0;

 private:
  std::string token_;
};

// Immutable; knows how to begin a step that hands its tokens to `next`.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual std::unique_ptr<DecodeStep> Start(DecodeStep* next) const = 0;
};

using DecoderList = std::vector<std::unique_ptr<const Decoder>>;

// A decoding through all decoders of a list, which must outlive it.
class Decoding {
 public:
  explicit Decoding(const DecoderList& decoders);
  ~Decoding();
  Decoding(Decoding&&) = default;

  void Push(std::string_view token) { first_->Push(token, true, true); }
  void Finish() { first_->Finish(); }
  // What has come out since the last call: whole characters.
  std::string Take();

 private:
  class Output;
  std::unique_ptr<Output> output_;
  std::vector<std::unique_ptr<DecodeStep>> steps_;
  DecodeStep* first_;
};

}  // namespace awq
