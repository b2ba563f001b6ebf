// Interrupt: Ctrl-C (SIGINT) and SIGTERM as a question that long work asks now and then.
#pragma once

namespace awq {

// The first signal sets the flag, a second one before ResetInterrupt() ends the process at once
// (130). Also makes writing to a closed pipe an error instead of a signal.
void InstallSignalHandlers();
bool Interrupted();
void ResetInterrupt();

}  // namespace awq
