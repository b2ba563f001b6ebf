// Continues a prompt and prints the text as it comes:
//   awq_example_generate models/demo "The history of"
#include <iostream>

#include "awq/api/llm.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: awq_example_generate MODEL PROMPT\n";
    return 2;
  }
  try {
    awq::Llm llm = awq::Llm::Load(argv[1]);
    const awq::GenerateResult result =
        llm.Generate(argv[2], {.max_tokens = 64},
                     {.on_text = [](std::string_view text) { std::cout << text << std::flush; }});
    std::cout << "\n"
              << result.tokens.size() << " tokens, ended by " << result.finish_reason << "\n";
  } catch (const awq::Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
