// What a quantization tells while it works, and the report that comes of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "awq/api/quantize.h"
#include "awq/base/clock.h"
#include "awq/quant/pipeline.h"
#include "awq/quant/starved_experts.h"

namespace awq {

class RunLog {
 public:
  explicit RunLog(const QuantizeCallbacks& callbacks) : callbacks_(callbacks) {}

  // Of the linears of each layer that are quantized; before the first event.
  void ExpectLayers(std::vector<int64_t> linears) { layer_linears_ = std::move(linears); }
  int64_t num_layers() const { return static_cast<int64_t>(layer_linears_.size()); }

  void Warn(const std::string& warning);
  // Throws kCancelled where the caller has asked for it.
  void Poll() const;
  void LayerBegins(int64_t layer);
  void LinearDone(const LinearOutcome& outcome);
  // Every layer is done.
  void LayersDone();
  double Seconds() const { return SecondsSince(start_); }

  const QuantizeCallbacks& callbacks() const { return callbacks_; }
  QuantizeReport& report() { return report_; }

 private:
  double Eta() const;
  void Report(QuantizeEvent event);

  const QuantizeCallbacks& callbacks_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point first_layer_ = start_;
  Clock::time_point last_layer_ = start_;
  std::vector<int64_t> layer_linears_;
  int64_t layers_done_ = 0;
  int64_t packed_bytes_ = 0;
  int64_t parameters_ = 0;
  StarvedExperts starved_;
  QuantizeReport report_;
};

}  // namespace awq
