// Makes a 4-bit checkpoint, prints each linear, and measures what it cost:
//   awq_example_quantize models/demo demo-4bit models/demo/sample.txt
#include <iostream>

#include "awq/api/evaluate.h"
#include "awq/api/quantize.h"
#include "awq/base/error.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: awq_example_quantize MODEL OUTPUT TEXT\n";
    return 2;
  }
  try {
    const awq::QuantizeOptions options{.model = argv[1], .output = argv[2], .group = 64};
    awq::QuantizeCallbacks callbacks;
    callbacks.progress = [](const awq::QuantizeEvent& e) {
      if (e.linear.empty()) return;
      std::cout << "layer " << e.layer + 1 << "/" << e.num_layers << " " << e.linear << ": "
                << e.error_before << " -> " << e.error_after << "\n";
    };
    const awq::QuantizeReport report = awq::Quantize(options, callbacks);
    std::cout << report.source_bytes << " -> " << report.output_bytes << " bytes\n";

    const auto results = awq::Evaluate(
        {.models = {argv[1], argv[2]}, .text = argv[3], .reference = argv[1], .max_windows = 8});
    for (const awq::EvaluateResult& r : results) {
      std::cout << r.model.string() << ": perplexity " << r.perplexity << ", KL divergence "
                << r.divergence->mean << "\n";
    }
  } catch (const awq::Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
