// awq_render: chat templates for comparison with jinja2; used by tools/, not installed.
//   awq_render TEMPLATE CONTEXT.json     the rendered text
//   awq_render --serve                   answers requests on stdin until it ends
// A request: u32 size, the JSON object {"template": text, "context": object}. An answer: u8 status
// (0 text, 1 an error of the run, 2 an error of the syntax), u32 size, the text or the message.
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "awq/base/error.h"
#include "awq/base/file.h"
#include "awq/text/chat_template.h"
#include "awq/text/pipe.h"

namespace {

char Answer(const std::string& request, std::string& answer) {
  const awq::Json json = awq::Json::Parse(request, "request");
  std::unique_ptr<const awq::ChatTemplate> chat;
  try {
    chat = awq::ChatTemplate::Parse(json.String("template"), awq::RawJson::object());
  } catch (const awq::Error& e) {
    answer = e.what();
    return 2;
  }
  try {
    answer = chat->Render(json.At("context").raw());
    return 0;
  } catch (const awq::Error& e) {
    answer = e.what();
    return 1;
  }
}

int Serve() {
  uint32_t size = 0;
  while (awq::ReadPart(&size, sizeof size)) {
    std::string request(size, '\0');
    if (!awq::ReadPart(request.data(), size)) return 1;
    std::string answer;
    const char status = Answer(request, answer);
    awq::WriteAnswer(status, answer);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 2 && std::string_view(argv[1]) == "--serve") return Serve();
    if (argc == 3) {
      const auto chat = awq::ChatTemplate::Parse(awq::ReadFile(argv[1]), awq::RawJson::object());
      const std::string text = chat->Render(awq::Json::Load(argv[2]).raw());
      std::fwrite(text.data(), 1, text.size(), stdout);
      return 0;
    }
  } catch (const awq::Error& e) {
    std::fprintf(stderr, "awq_render: %s\n", e.what());
    return 1;
  }
  std::fputs("usage: awq_render TEMPLATE CONTEXT.json | --serve\n", stderr);
  return 2;
}
