// StepMaker: a decoder that makes a step from its arguments.
#pragma once

#include <memory>
#include <tuple>
#include <utility>

#include "awq/text/decoder.h"

namespace awq {

// Step(next, args…) for every decoding.
template <typename Step, typename... Args>
class StepMaker : public Decoder {
 public:
  explicit StepMaker(Args... args) : args_(std::move(args)...) {}

  std::unique_ptr<DecodeStep> Start(DecodeStep* next) const override {
    return std::apply([&](const Args&... args) { return std::make_unique<Step>(next, args...); },
                      args_);
  }

 private:
  std::tuple<Args...> args_;
};

template <typename Step, typename... Args>
std::unique_ptr<const Decoder> MakeDecoder(Args... args) {
  return std::make_unique<StepMaker<Step, Args...>>(std::move(args)...);
}

}  // namespace awq
