#include "awq/text/pretokenizer.h"

namespace awq {
namespace {

void Run(const PreTokenizerList& steps, size_t step, const Piece& piece, const PieceSink& out) {
  if (step + 1 == steps.size()) {
    steps[step]->Split(piece, out);
    return;
  }
  steps[step]->Split(piece, [&](const Piece& part) { Run(steps, step + 1, part, out); });
}

}  // namespace

void PreTokenize(const PreTokenizerList& steps, const Piece& piece, const PieceSink& out) {
  if (piece.text.empty()) return;
  if (steps.empty()) {
    out(piece);
  } else {
    Run(steps, 0, piece, out);
  }
}

}  // namespace awq
