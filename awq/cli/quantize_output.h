// What awq quantize prints, as text and as JSON.
#pragma once

#include <string>
#include <vector>

#include "awq/api/quantize.h"
#include "awq/base/json.h"

namespace awq {

RawJson ToJson(const QuantizeEvent& event);
RawJson ToJson(const QuantizePlan& plan);
RawJson ToJson(const std::vector<TradeOffPoint>& curve);
RawJson ToJson(const QuantizeOptions& options, const QuantizeReport& report);

void PrintPlan(const QuantizeOptions& options, const QuantizePlan& plan);
void PrintReport(const QuantizeOptions& options, const QuantizeReport& report);
std::string CurveTable(const std::vector<TradeOffPoint>& curve);

}  // namespace awq
