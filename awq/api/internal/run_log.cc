#include "awq/api/internal/run_log.h"

#include <algorithm>
#include <chrono>

#include "awq/base/error.h"

namespace awq {

void RunLog::Warn(const std::string& warning) {
  report_.warnings.push_back(warning);
  if (callbacks_.warning) callbacks_.warning(warning);
}

void RunLog::Poll() const {
  if (callbacks_.cancelled && callbacks_.cancelled()) {
    Fail(ErrorCode::kCancelled, "stopped; nothing was written");
  }
}

double RunLog::Eta() const {
  const int64_t measured = layers_done_ - report_.resumed_layers;
  if (measured <= 0) return 0;
  const double spent = std::chrono::duration<double>(last_layer_ - first_layer_).count();
  const auto left = static_cast<double>(num_layers() - layers_done_);
  return std::max(0.0, spent / static_cast<double>(measured) * left - SecondsSince(last_layer_));
}

void RunLog::Report(QuantizeEvent event) {
  event.num_layers = num_layers();
  event.layer_linears = layer_linears_.at(static_cast<size_t>(event.layer));
  event.seconds = Seconds();
  event.eta_seconds = Eta();
  if (callbacks_.progress) callbacks_.progress(event);
  if (!event.linear.empty()) report_.linears.push_back(std::move(event));
}

void RunLog::LayerBegins(int64_t layer) {
  last_layer_ = Clock::now();
  if (layer <= report_.resumed_layers) first_layer_ = last_layer_;
  layers_done_ = layer;
  QuantizeEvent event;
  event.layer = layer;
  Report(std::move(event));
}

void RunLog::LinearDone(const LinearOutcome& o) {
  starved_.Note(o);
  packed_bytes_ += o.packed_bytes;
  parameters_ += o.parameters;
  QuantizeEvent event;
  event.layer = o.layer;
  event.linear = LinearName(o.id);
  event.alpha = o.alpha;
  event.clipped = o.clipped;
  event.error_before = o.error_before;
  event.error_after = o.error_after;
  Report(std::move(event));
}

void RunLog::LayersDone() {
  for (const std::string& warning : starved_.Warnings()) Warn(warning);
  report_.bits_per_weight =
      8.0 * static_cast<double>(packed_bytes_) / static_cast<double>(parameters_);
}

}  // namespace awq
