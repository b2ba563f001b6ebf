// awq run: continues a prompt.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "awq/base/file.h"
#include "awq/cli/flags.h"
#include "awq/cli/interrupt.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

struct RunFlags {
  std::string model;
  std::optional<std::string> prompt;
  std::string file;
  LlmOptions llm;
  GenerateOptions generate;
  bool chat = false;
  bool json = false;
};

std::string ReadStdin() {
  std::string out;
  char chunk[1 << 14];
  while (true) {
    const ssize_t n = ::read(STDIN_FILENO, chunk, sizeof chunk);
    AWQ_CHECK(!(n < 0 && Interrupted()), kCancelled, "cancelled");
    AWQ_CHECK(n >= 0, kIo, "stdin: cannot read");
    if (n == 0) return out;
    out.append(chunk, static_cast<size_t>(n));
  }
}

std::string ReadPrompt(const RunFlags& flags) {
  if (flags.prompt) return *flags.prompt;
  if (!flags.file.empty() && flags.file != "-") return ReadFile(flags.file);
  AWQ_CHECK(flags.file == "-" || ::isatty(STDIN_FILENO) == 0, kInvalidArgument,
            "no prompt: give -p TEXT, --file FILE, or text on stdin");
  return ReadStdin();
}

double Rate(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

RawJson ToJson(const RunFlags& flags, const GenerateResult& r) {
  const auto tokens = static_cast<int64_t>(r.tokens.size());
  return {{"model", flags.model},
          {"text", r.text},
          {"finish_reason", r.finish_reason},
          {"prompt_tokens", r.prompt_tokens},
          {"completion_tokens", tokens},
          {"tokens", r.tokens},
          {"prefill_seconds", r.prefill_seconds},
          {"prefill_tokens_per_second", Rate(r.prompt_tokens, r.prefill_seconds)},
          {"decode_seconds", r.decode_seconds},
          {"decode_tokens_per_second", Rate(tokens - 1, r.decode_seconds)},
          {"seed", r.seed},
          {"peak_rss_bytes", PeakRss()}};
}

void PrintRates(const std::string& device, const GenerateResult& r) {
  const auto tokens = static_cast<int64_t>(r.tokens.size());
  PrintErr(Cat("awq: ", r.prompt_tokens, " prompt tokens at ",
               FormatNumber("%.1f", Rate(r.prompt_tokens, r.prefill_seconds)), " tok/s, ", tokens,
               " generated at ", FormatNumber("%.1f", Rate(tokens - 1, r.decode_seconds)),
               " tok/s, ended by ", r.finish_reason, ", seed ", r.seed, "; on ", device, "\n"));
}

int RunRun(RunFlags& flags) {
  for (std::string& s : flags.generate.stop) s = Unescape(s);
  const std::string prompt = ReadPrompt(flags);
  Llm llm = Llm::Load(flags.model, flags.llm);
  GenerateCallbacks callbacks;
  if (!flags.json) callbacks.on_text = [](std::string_view text) { Print(text); };
  callbacks.cancelled = Interrupted;
  const GenerateResult result = flags.chat ? llm.Chat({{"user", prompt}}, flags.generate, callbacks)
                                           : llm.Generate(prompt, flags.generate, callbacks);
  if (flags.json) {
    PrintJson(ToJson(flags, result));
  } else {
    if (!result.text.ends_with('\n')) Print("\n");
    PrintRates(llm.device(), result);
  }
  AWQ_CHECK(result.finish_reason != "cancelled", kCancelled, "cancelled");
  return 0;
}

}  // namespace

void AddRun(CLI::App& app, Action& chosen) {
  CLI::App* verb = app.add_subcommand("run", "continue a prompt");
  auto flags = std::make_shared<RunFlags>();
  verb->add_option("MODEL", flags->model, "checkpoint folder, 16-bit or quantized")->required();
  CLI::Option* prompt = verb->add_option("-p,--prompt", flags->prompt, "the text to continue");
  verb->add_option("--file", flags->file, "a file with that text; - or nothing: stdin")
      ->excludes(prompt);
  verb->add_flag("--chat", flags->chat, "ask it as a user's message, in the model's chat template");
  verb->add_flag("--json", flags->json, "print one JSON object at the end instead of the text");
  AddGenerateFlags(*verb, flags->generate);
  AddLlmFlags(*verb, flags->llm);
  verb->footer(
      "Example:\n  awq run models/demo -p \"The history of\" -n 100 -t 0.8 --top-p 0.95 --seed "
      "1\n\n"
      "The answer streams to stdout, speeds go to stderr. [the model's]: what its\n"
      "generation_config.json recommends.");
  verb->callback([flags, &chosen] { chosen = [flags] { return RunRun(*flags); }; });
}

}  // namespace awq
