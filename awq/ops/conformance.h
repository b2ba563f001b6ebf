// Conformance: one table of op cases that every backend must answer as `ref` does. Tests compare,
// and benchmarks time, the same calls.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "awq/ops/backend.h"

namespace awq {

// A case set up on one backend: its inputs are on the device, its weights are prepared.
struct OpRun {
  std::function<void()> call;  // once for a result; more often to time it
  // What the op wrote, a tensor each, gaps between strided rows included.
  std::function<std::vector<std::vector<float>>()> result;
};

struct OpCase {
  std::string name;  // "linear_q4/m1_n768_k768_g128_asym"; the part before '/' is the op
  double tolerance;  // largest normalised mean square error against ref
  std::function<OpRun(Backend&)> make;
};

// All cases for activations of type `act` (F32, BF16 or F16). Inputs depend on the name alone.
std::vector<OpCase> ConformanceCases(DType act);

// Σ (found - expected)² / Σ expected²; infinite when sizes differ or something is not finite.
double NormalizedError(const std::vector<float>& found, const std::vector<float>& expected);

// Runs the case on both and returns the largest NormalizedError of a tensor.
double RunConformance(Backend& tested, Backend& ref, const OpCase& op_case);

// A call that can be made on any rows of its outputs at a time.
struct RowRun {
  std::function<void(int64_t begin, int64_t end)> call;
  int64_t rows;
  std::function<std::vector<float>()> result;
};

struct RowCase {
  std::string name;  // "linear/q4_g128_asym_70x400x520"
  std::function<RowRun(Backend&)> make;
};

// What a deterministic backend (make_backend.h) must answer alike however rows are cut into calls.
std::vector<RowCase> RowCases(DType act);

// How many values differ in a bit between one call on all rows and calls on one row each, or on
// pieces of other sizes.
int64_t CountRowDifferences(Backend& backend, const RowCase& row_case);

}  // namespace awq
