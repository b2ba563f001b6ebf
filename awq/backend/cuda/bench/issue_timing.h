// Times what runs beside a tensor core's instructions.
#pragma once

namespace awq::cuda {

// Cycles of a quarter of one SM for each mma.m16n8k16 (f16, f32 sums) with none to four other
// instructions behind it, integer (lop3), f32 (fma) and in turns; by one, two and four warps. sm_80
// or later. Prints a table.
void TimeIssue();

}  // namespace awq::cuda
