// Verbs: what the program can do; each adds its subcommand and says what to run once it is chosen.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace awq {

// Returns the exit status; throws Error.
using Action = std::function<int()>;

void AddQuantize(CLI::App& app, Action& chosen);
void AddRun(CLI::App& app, Action& chosen);
void AddChat(CLI::App& app, Action& chosen);
void AddEval(CLI::App& app, Action& chosen);
void AddBench(CLI::App& app, Action& chosen);
void AddInspect(CLI::App& app, Action& chosen);
void AddVerify(CLI::App& app, Action& chosen);

}  // namespace awq
