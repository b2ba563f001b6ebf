// The program: parses the command line, runs the chosen verb, turns errors into one line and a
// status.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <new>

#include "awq/api/version.h"
#include "awq/base/error.h"
#include "awq/cli/exit_code.h"
#include "awq/cli/interrupt.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

constexpr const char* kDescription =
    "awq: 4-bit quantization and inference of language models.\n"
    "\n"
    "  awq quantize models/demo -o demo-4bit        16-bit checkpoint in, 4-bit checkpoint out\n"
    "  awq eval demo-4bit --text t.txt --against models/demo     what it cost\n"
    "  awq run demo-4bit -p \"The history of\"        text from it\n"
    "\n"
    "MODEL is a Hugging Face folder: config.json, tokenizer.json, *.safetensors.";

std::string Footer() {
  std::string out = "Exit status:\n";
  for (const ExitCode& code : kExitCodes) {
    out += Cat("  ", PadLeft(std::to_string(code.status), 3), "  ", code.meaning, "\n");
  }
  return out + "\nResults go to stdout, everything else to stderr. `awq VERB --help` says more.";
}

int Complain(std::string message, int status) {
  for (char& c : message) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  PrintErr("awq: error: " + message + "\n");
  return status;
}

std::string HelpHint(const CLI::App& app) {
  const auto verbs = app.get_subcommands();
  return verbs.empty() ? "; see awq --help" : "; see awq " + verbs.front()->get_name() + " --help";
}

int Guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const OutputClosed&) {
    return kExitOk;
  } catch (const Error& e) {
    return Complain(e.what(), ExitStatus(e.code()));
  } catch (const std::bad_alloc&) {
    return Complain("out of memory", kExitOutOfMemory);
  } catch (const std::filesystem::filesystem_error& e) {
    return Complain(Cat(e.path1().string(), ": ", e.code().message()), ExitStatus(ErrorCode::kIo));
  } catch (const std::exception& e) {
    return Complain(Cat("internal: ", e.what()), kExitFailed);
  }
}

int Main(int argc, char** argv) {
  InstallSignalHandlers();
  CLI::App app(kDescription, "awq");
  app.set_version_flag("--version", Cat("awq ", Version(), " (build ", BuildId(), ")"));
  app.footer(Footer());
  app.get_formatter()->column_width(34);
  Action chosen;
  AddQuantize(app, chosen);
  AddRun(app, chosen);
  AddChat(app, chosen);
  AddEval(app, chosen);
  AddInspect(app, chosen);
  AddBench(app, chosen);
  AddVerify(app, chosen);
  return Guarded([&] {
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
      if (e.get_exit_code() != 0) return Complain(e.what() + HelpHint(app), kExitUsage);
      std::ostringstream text;
      app.exit(e, text, text);
      Print(text.str());
      return kExitOk;
    }
    if (!chosen) return Complain("no verb given; see awq --help", kExitUsage);
    return chosen();
  });
}

}  // namespace
}  // namespace awq

int main(int argc, char** argv) {
  try {
    return awq::Main(argc, argv);
  } catch (...) {  // Main answers for its verbs; what is left is a failure to say so
    return awq::kExitFailed;
  }
}
