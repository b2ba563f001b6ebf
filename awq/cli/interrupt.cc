#include "awq/cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace awq {
namespace {

// A signal handler can reach nothing but a global.
std::atomic<int> signals{0};
static_assert(std::atomic<int>::is_always_lock_free);

void OnSignal(int) {
  if (signals.fetch_add(1) > 0) _exit(130);
}

}  // namespace

void InstallSignalHandlers() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  // Without SA_RESTART a read from the terminal returns, so that chat notices.
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

bool Interrupted() { return signals.load() > 0; }
void ResetInterrupt() { signals.store(0); }

}  // namespace awq
