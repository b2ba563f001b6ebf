// awq chat: a conversation in the terminal.
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>

#include "awq/cli/flags.h"
#include "awq/cli/interrupt.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

constexpr std::string_view kHelp =
    "  /system TEXT   set the system message and start over (no TEXT: none)\n"
    "  /reset         forget the conversation\n"
    "  /exit          leave (Ctrl-D, too)\n"
    "  a line that ends in \\ goes on in the next; Ctrl-C stops an answer\n";

struct ChatFlags {
  std::string model;
  std::string system;
  LlmOptions llm;
  GenerateOptions generate;
};

// Lines of stdin, terminal or pipe. Reads bytes itself: a signal must end a read, not the stream.
class LineReader {
 public:
  enum class Status { kLine, kEnd, kInterrupted };
  Status Read(std::string& line) {
    while (true) {
      const auto newline = buffer_.find('\n');
      if (newline != std::string::npos || (ended_ && !buffer_.empty())) {
        line = buffer_.substr(0, newline);
        buffer_.erase(0, newline == std::string::npos ? newline : newline + 1);
        if (line.ends_with('\r')) line.pop_back();
        return Status::kLine;
      }
      if (ended_) return Status::kEnd;
      char chunk[4096];
      const ssize_t n = ::read(STDIN_FILENO, chunk, sizeof chunk);
      if (n < 0 && errno == EINTR) return Status::kInterrupted;
      if (n <= 0) {
        ended_ = true;
      } else {
        buffer_.append(chunk, static_cast<size_t>(n));
      }
    }
  }

 private:
  std::string buffer_;
  bool ended_ = false;
};

class Chat {
 public:
  explicit Chat(const ChatFlags& flags)
      : flags_(flags),
        llm_(Llm::Load(flags.model, flags.llm)),
        terminal_(::isatty(STDIN_FILENO) == 1) {
    llm_.ApplyChatTemplate({{"user", "?"}});  // throws at once when there is no template
    system_ = flags.system;
    Reset();
  }

  int Run() {
    if (terminal_)
      PrintErr(Cat(flags_.model, " on ", llm_.device(), "; /help says what you can do\n"));
    while (const auto input = ReadInput()) {
      if (input->empty()) continue;
      if (input->starts_with('/')) {
        if (!Command(*input)) break;
      } else {
        Answer(*input);
      }
    }
    return 0;
  }

 private:
  void Reset() {
    messages_.clear();
    if (!system_.empty()) messages_.push_back({"system", system_});
  }

  // A whole message; nothing at the end of input.
  std::optional<std::string> ReadInput() {
    std::string input;
    std::string line;
    bool hinted = false;
    while (true) {
      if (terminal_) PrintErr(input.empty() ? "> " : ". ");
      switch (reader_.Read(line)) {
        case LineReader::Status::kEnd:
          if (terminal_) PrintErr("\n");
          return input.empty() ? std::nullopt : std::optional(input);
        case LineReader::Status::kInterrupted:
          // A second Ctrl-C in a row ends the program: the handler sees to that.
          AWQ_CHECK(terminal_, kCancelled, "cancelled");
          PrintErr(hinted ? "\n" : "\n(once more, or /exit, to leave)\n");
          hinted = true;
          input.clear();
          continue;
        case LineReader::Status::kLine:
          ResetInterrupt();
          break;
      }
      if (!line.ends_with('\\')) return input + line;
      line.back() = '\n';
      input += line;
    }
  }

  // False: leave.
  bool Command(const std::string& input) {
    const auto space = input.find(' ');
    const std::string name = input.substr(0, space);
    if (name == "/exit" || name == "/quit") return false;
    if (name == "/reset") {
      Reset();
    } else if (name == "/system") {
      system_ = space == std::string::npos ? "" : input.substr(space + 1);
      Reset();
    } else {
      if (name != "/help") PrintErr("awq: there is no " + name + "\n");
      PrintErr(kHelp);
    }
    return true;
  }

  void Answer(const std::string& input) {
    messages_.push_back({"user", input});
    ResetInterrupt();
    try {
      const GenerateResult result = llm_.Chat(
          messages_, flags_.generate,
          {.on_text = [](std::string_view text) { Print(text); }, .cancelled = Interrupted});
      Print("\n");
      if (result.finish_reason != "stop") PrintErr("(ended: " + result.finish_reason + ")\n");
      messages_.push_back({"assistant", result.text});
    } catch (const Error& e) {
      // A message that is too long, say, must not cost the conversation.
      if (!terminal_) throw;
      PrintErr(Cat("awq: error: ", e.what(), "\n"));
      messages_.pop_back();
    }
    ResetInterrupt();
  }

  const ChatFlags& flags_;
  Llm llm_;
  bool terminal_;
  std::string system_;
  std::vector<Message> messages_;
  LineReader reader_;
};

}  // namespace

void AddChat(CLI::App& app, Action& chosen) {
  CLI::App* verb = app.add_subcommand("chat", "talk with a model");
  auto flags = std::make_shared<ChatFlags>();
  verb->add_option("MODEL", flags->model, "checkpoint folder with a chat template")->required();
  verb->add_option("-s,--system", flags->system, "system message");
  AddGenerateFlags(*verb, flags->generate);
  AddLlmFlags(*verb, flags->llm);
  verb->footer(Cat("Example:\n  awq chat models/demo -s \"You are a helpful assistant.\"\n\n",
                   "In the conversation:\n", kHelp,
                   "Messages may also come from a pipe, one a line; answers go to stdout."));
  verb->callback([flags, &chosen] {
    chosen = [flags] {
      for (std::string& s : flags->generate.stop) s = Unescape(s);
      return Chat(*flags).Run();
    };
  });
}

}  // namespace awq
