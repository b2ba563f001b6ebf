#include "awq/ops/conformance.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "awq/ops/cases/table.h"

namespace awq {

std::vector<OpCase> ConformanceCases(DType act) {
  cases::Table table(act);
  cases::AddLinears(table);
  cases::AddNorms(table);
  cases::AddFusedRows(table);
  cases::AddAdvance(table);
  cases::AddElementwise(table);
  cases::AddRope(table);
  cases::AddTables(table);
  cases::AddRopeKvWrites(table);
  cases::AddAttentions(table);
  cases::AddMlaAttentions(table);
  cases::AddLatents(table);
  cases::AddDecoders(table);
  cases::AddExperts(table);
  cases::AddSamples(table);
  cases::AddCalibration(table);
  return table.Take();
}

double NormalizedError(const std::vector<float>& found, const std::vector<float>& expected) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (found.size() != expected.size()) return kInfinite;
  double error = 0;
  double power = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double difference = static_cast<double>(found[i]) - static_cast<double>(expected[i]);
    error += difference * difference;
    power += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  if (!std::isfinite(error) || !std::isfinite(power)) return kInfinite;
  return error == 0 ? 0 : error / power;
}

double RunConformance(Backend& tested, Backend& ref, const OpCase& op_case) {
  const OpRun expected = op_case.make(ref);
  expected.call();
  const OpRun found = op_case.make(tested);
  found.call();
  const auto wanted = expected.result();
  const auto answers = found.result();
  double error = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    error = std::max(error, NormalizedError(answers[i], wanted[i]));
  }
  return error;
}

std::vector<RowCase> RowCases(DType act) {
  cases::Table table(act);
  cases::AddRowCases(table);
  return table.TakeRows();
}

int64_t CountRowDifferences(Backend& backend, const RowCase& row_case) {
  const RowRun whole = row_case.make(backend);
  whole.call(0, whole.rows);
  const std::vector<float> expected = whole.result();
  int64_t differences = 0;
  for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{1}, {7, 1, 40, 3, 16, 2, 33, 9}}) {
    const RowRun cut = row_case.make(backend);
    size_t piece = 0;
    for (int64_t begin = 0; begin < cut.rows; ++piece) {
      const int64_t end = std::min(cut.rows, begin + sizes[piece % sizes.size()]);
      cut.call(begin, end);
      begin = end;
    }
    const std::vector<float> found = cut.result();
    for (size_t i = 0; i < expected.size(); ++i) {
      if (std::bit_cast<uint32_t>(found[i]) != std::bit_cast<uint32_t>(expected[i])) ++differences;
    }
  }
  return differences;
}

}  // namespace awq
