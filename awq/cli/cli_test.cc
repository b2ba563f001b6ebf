// The program itself, run as a user runs it: results, messages, exit codes, signals.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <regex>
#include <thread>

#include "awq/api/internal/scratch_folder.h"
#include "awq/base/file.h"
#include "awq/base/json.h"

namespace awq {
namespace {

namespace fs = std::filesystem;
const std::string kDemo = AWQ_SOURCE_DIR "/models/demo";
const std::string kSample = kDemo + "/sample.txt";
const std::string kTiny = AWQ_TESTDATA "/tiny/llama_gqa_tied";

struct Result {
  int status = -1;  // exit status, or 1000 + the signal that ended it
  std::string out;
  std::string err;
};

// A running program; its stdin, stdout and stderr are files of a scratch folder unless told
// otherwise.
class Process {
 public:
  explicit Process(const std::vector<std::string>& args, const std::string& input = "",
                   const std::string& stdout_path = "") {
    const fs::path in = folder_.Write("in", input);
    out_ = stdout_path.empty() ? folder_.path() / "out" : fs::path(stdout_path);
    pid_ = ::fork();
    if (pid_ != 0) return;
    Redirect(in, O_RDONLY, 0);
    Redirect(out_, O_WRONLY | O_CREAT | O_TRUNC, 1);
    Redirect(folder_.path() / "err", O_WRONLY | O_CREAT | O_TRUNC, 2);
    std::vector<char*> argv = {const_cast<char*>(AWQ_PROGRAM)};
    for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    ::execv(AWQ_PROGRAM, argv.data());
    ::_exit(127);
  }
  void Signal(int number) const { ::kill(pid_, number); }
  std::string Err() const {
    const fs::path path = folder_.path() / "err";
    return fs::exists(path) ? ReadFile(path) : "";  // the child may not have come so far
  }
  Result Wait() const {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    Result r;
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    if (fs::is_regular_file(out_)) r.out = ReadFile(out_);
    r.err = Err();
    return r;
  }

 private:
  static void Redirect(const fs::path& path, int flags, int descriptor) {
    const int fd = ::open(path.c_str(), flags, 0600);
    if (fd < 0 || ::dup2(fd, descriptor) < 0) ::_exit(126);
    ::close(fd);
  }
  testing::ScratchFolder folder_;
  fs::path out_;
  pid_t pid_ = -1;
};

Result Awq(const std::vector<std::string>& args, const std::string& input = "") {
  return Process(args, input).Wait();
}

Json Parsed(const std::string& text) { return Json::Parse(text, "stdout"); }

bool IsPlain(const std::string& text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c < 32 && c != '\n'; });
}

// The status, nothing on stdout, and exactly one line on stderr, which mentions `mention`.
void Fails(const std::vector<std::string>& args, int status, const std::string& mention,
           const std::string& input = "") {
  const Result r = Awq(args, input);
  SCOPED_TRACE(r.err);
  EXPECT_EQ(r.status, status);
  EXPECT_EQ(r.out, "");
  EXPECT_TRUE(r.err.starts_with("awq: error: "));
  EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1);
  EXPECT_NE(r.err.find(mention), std::string::npos) << mention;
  EXPECT_TRUE(IsPlain(r.err));
}

TEST(Cli, HelpTeaches) {
  const Result top = Awq({"--help"});
  EXPECT_EQ(top.status, 0);
  for (const std::string verb : {"quantize", "run", "chat", "eval", "inspect", "verify"}) {
    EXPECT_NE(top.out.find("\n  " + verb), std::string::npos) << verb;
    const Result r = Awq({verb, "--help"});
    EXPECT_EQ(r.status, 0);
    EXPECT_NE(r.out.find("Example:\n  awq " + verb), std::string::npos) << verb;
    EXPECT_EQ(r.err, "");
  }
  EXPECT_NE(top.out.find("130  cancelled"), std::string::npos);
  const std::string version = Awq({"--version"}).out;
  EXPECT_TRUE(std::regex_match(version, std::regex("awq [0-9.]+ \\(build [0-9a-f]{12}\\)\n")))
      << version;
}

TEST(Cli, BadUsage) {
  Fails({}, 2, "no verb");
  Fails({"frobnicate"}, 2, "frobnicate");
  Fails({"run"}, 2, "MODEL");
  Fails({"run", kDemo, "-p", "x", "--frob"}, 2, "awq run --help");
  Fails({"run", kDemo, "-p", "x", "--top-k", "many"}, 2, "--top-k");
  Fails({"run", kDemo, "-p", "x", "--file", "y"}, 2, "--file");
  Fails({"run", kDemo, "-p", "x", "--top-p", "2"}, 2, "top_p");
  Fails({"run", kDemo, "-p", "x", "--device", "abacus"}, 2, "abacus");
  Fails({"run", kDemo, "-p", "x", "--dtype", "f8"}, 2, "dtype");
  Fails({"run", kDemo, "-p", "x", "--head-bits", "6"}, 2, "--head-bits");
  Fails({"run", kDemo, "-p", "x", "--deterministic", "--kv-memory", "1KB"}, 2,
        "the budget is 1024");
  Fails({"run", kDemo, "-p", "x", "--ctx", "9999"}, 2, "2048");
  Fails({"run", kDemo, "-p", "x", "-n", "5000"}, 2, "5002 exceed the context of 2048 tokens");
  Fails({"eval", kDemo, "--text", kSample, "--window", "1"}, 2, "window");
  Fails({"eval", kDemo, "--text", kSample, "--bos", "--no-bos"}, 2, "--no-bos");
  Fails({"quantize", kDemo}, 2, "--output");
}

TEST(Cli, BadInput) {
  const testing::ScratchFolder folder;
  Fails({"inspect", "/no/such/model"}, 3, "/no/such/model");
  Fails({"run", kTiny, "-p", "x"}, 3, "tokenizer.json");
  Fails({"run", kDemo, "--file", "/no/such/prompt"}, 3, "/no/such/prompt");
  Fails({"eval", kDemo, "--text", "/no/such/text"}, 3, "/no/such/text");

  const fs::path json = folder.Copy(kTiny, "json");
  folder.Write("json/config.json", "{\"model_type\": ");
  Fails({"inspect", json}, 4, "config.json: bad JSON at line 1");

  const fs::path unknown = folder.Copy(kTiny, "unknown");
  testing::Replace(unknown / "config.json", "\"model_type\": \"llama\"",
                   "\"model_type\": \"mamba\"");
  Fails({"inspect", unknown}, 5, "\"mamba\" is not supported; supported: ");

  const fs::path truncated = folder.Copy(kTiny, "truncated");
  fs::resize_file(truncated / "model.safetensors",
                  fs::file_size(truncated / "model.safetensors") / 2);
  Fails({"verify", truncated}, 4, "model.safetensors");

  const fs::path shape = folder.Copy(kTiny, "shape");
  testing::Replace(shape / "config.json", "\"intermediate_size\": ", "\"intermediate_size\": 1");
  const Result r = Awq({"verify", shape});
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.out.find("PROBLEM: "), std::string::npos);
  EXPECT_NE(r.out.find("gate_proj.weight: expected ["), std::string::npos) << r.out;
  EXPECT_NE(r.err.find("problems found"), std::string::npos);

  const fs::path shard = folder.Copy(AWQ_TESTDATA "/tiny/llama_sharded", "shard");
  fs::remove(shard / "model-00002-of-00002.safetensors");
  Fails({"inspect", shard}, 3, "model-00002-of-00002.safetensors");
}

TEST(Cli, RunStreamsText) {
  const std::vector<std::string> greedy = {"run", kDemo, "-p", "The history of", "-n", "12"};
  const Result text = Awq(greedy);
  EXPECT_EQ(text.status, 0);
  EXPECT_GT(text.out.size(), 20u);
  EXPECT_NE(text.err.find("tok/s"), std::string::npos);
  EXPECT_NE(text.err.find("; on "), std::string::npos) << text.err;  // the device
  auto with_json = greedy;
  with_json.emplace_back("--json");
  const Json json = Parsed(Awq(with_json).out);
  EXPECT_EQ(json.String("text") + "\n", text.out);
  EXPECT_EQ(json.Int("completion_tokens"), 12);
  EXPECT_EQ(json.String("finish_reason"), "length");
  EXPECT_GT(json.Double("decode_tokens_per_second"), 0);

  EXPECT_EQ(Awq({"run", kDemo, "-n", "12"}, "The history of").out, text.out);
  const testing::ScratchFolder folder;
  EXPECT_EQ(Awq({"run", kDemo, "-n", "12", "--file", folder.Write("p", "The history of")}).out,
            text.out);

  const std::vector<std::string> sampled = {"run", kDemo, "-p", "The",    "-n",
                                            "8",   "-t",  "1",  "--seed", "5"};
  EXPECT_EQ(Awq(sampled).out, Awq(sampled).out);
  const std::string word = text.out.substr(5, 3);
  EXPECT_EQ(Awq({"run", kDemo, "-p", "The history of", "-n", "12", "--stop", word}).out,
            text.out.substr(0, text.out.find(word)) + "\n");
}

TEST(Cli, ChatTakesAPipe) {
  const Result r =
      Awq({"chat", kDemo, "-n", "8"}, "Tell me about \\\nthe Moon.\n/reset\n/nonsense\nHello\n");
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n') >= 2, true) << r.out;
  EXPECT_NE(r.err.find("there is no /nonsense"), std::string::npos);
  EXPECT_EQ(Awq({"chat", kDemo}, "/exit\nHello\n").out, "");
  EXPECT_EQ(Awq({"chat", kDemo}, "").status, 0);
}

TEST(Cli, EvalPrintsOneObjectForEachModel) {
  const Result r = Awq({"eval", kDemo, kDemo, "--text", kSample, "--max-windows", "1", "--window",
                        "128", "--against", kDemo, "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n'), 2);
  const Json json = Parsed(r.out.substr(0, r.out.find('\n')));
  EXPECT_EQ(json.Int("tokens"), 127);
  for (const char* key : {"perplexity", "seconds", "kld_mean", "kld_median", "kld_p99", "kld_p999",
                          "top1", "peak_rss_bytes"}) {
    EXPECT_TRUE(json.Has(key)) << key;
  }
  const Result plain = Awq({"eval", kDemo, "--text", kSample, "--max-windows", "2", "--window",
                            "64", "--no-bos", "--json"});
  EXPECT_EQ(Parsed(plain.out).Int("tokens"), 2 * 63);
  EXPECT_FALSE(Parsed(plain.out).Has("kld_mean"));
}

TEST(Cli, QuantizeInspectVerify) {
  const testing::ScratchFolder folder;
  const std::string out = folder.path() / "q";
  const std::string log = folder.path() / "log.jsonl";
  const std::vector<std::string> args = {"quantize",    kTiny, "-o",           out,
                                         "--method",    "rtn", "--group-size", "32",
                                         "--log-jsonl", log,   "--shard-size", "1MB"};
  const Result r = Awq(args);
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("bits a weight"), std::string::npos);
  EXPECT_EQ(r.err.find("quant: layer 1/2 q: alpha -"), 0u) << r.err;
  EXPECT_TRUE(IsPlain(r.err));
  std::istringstream lines(ReadFile(log));
  int linears = 0;
  std::string last;
  for (std::string line; std::getline(lines, line); last = line) {
    linears += Parsed(line).String("event") == "linear" ? 1 : 0;
  }
  EXPECT_EQ(linears, 14);
  EXPECT_EQ(Parsed(last).String("event"), "done");

  Fails(args, 2, "output exists");
  const Json json = Parsed(Awq({"inspect", out, "--json", "--tensors"}).out);
  EXPECT_EQ(json.String("format"), "awq_gemm");
  EXPECT_EQ(json.Int("group_size"), 32);
  EXPECT_FALSE(json.At("tensors").AsArray().empty());
  const Result verified = Awq({"verify", out, "--source", kTiny, "--json"});
  EXPECT_EQ(verified.status, 0) << verified.out;
  EXPECT_TRUE(Parsed(verified.out).Bool("ok"));
  Fails({"quantize", out, "-o", out + "2"}, 2, "already quantized");

  const fs::path weights = fs::path(out) / "model.safetensors";
  std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x7f');
  file.close();
  const Result damaged = Awq({"verify", out});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_NE(damaged.out.find("model.safetensors: expected SHA-256"), std::string::npos);
}

TEST(Cli, QuantizeRefusesBeforeItWrites) {
  const testing::ScratchFolder folder;
  const std::string out = folder.path() / "q";
  Fails({"quantize", kTiny, "-o", out, "--method", "magic"}, 2, "magic");
  Fails({"quantize", kTiny, "-o", out, "--format", "gguf"}, 2, "gguf");
  Fails({"quantize", kTiny, "-o", out, "--group-size", "48"}, 2, "48");
  Fails({"quantize", kTiny, "-o", out, "--method", "rtn", "--group-size", "-1"}, 5, "awq_gemm");
  Fails({"quantize", kTiny, "-o", out, "--shard-size", "big"}, 2, "big");
  Fails({"quantize", kTiny, "-o", "/proc/q", "--method", "rtn", "--group-size", "32"}, 6,
        "/proc/q");
  Fails({"quantize", kTiny, "-o", out, "--method", "rtn", "--log-jsonl", "/no/such/dir/log"}, 3,
        "log");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Cli, FullAndClosedOutputs) {
  const Result full = Process({"inspect", kDemo}, "", "/dev/full").Wait();
  EXPECT_EQ(full.status, 6);
  EXPECT_EQ(full.err, "awq: error: stdout: cannot write: No space left on device\n");

  const std::string closed = std::string("'") + AWQ_PROGRAM + "' inspect --tensors '" + kDemo +
                             "' 2>&1 >&- ; echo status $?";
  FILE* pipe = ::popen(closed.c_str(), "r");
  char line[200] = {};
  ASSERT_NE(std::fgets(line, sizeof line, pipe), nullptr);
  EXPECT_STREQ(line, "status 0\n");
  ::pclose(pipe);

  const std::string reader_gone =
      std::string("(\"") + AWQ_PROGRAM + "\" run '" + kDemo +
      "' -p The -n 2000 --ignore-eos 2>&1; echo status $? >&2) | head -c 3";
  pipe = ::popen(("exec 2>&1; " + reader_gone).c_str(), "r");
  std::string all;
  while (std::fgets(line, sizeof line, pipe) != nullptr) all += line;
  ::pclose(pipe);
  EXPECT_NE(all.find("status 0"), std::string::npos) << all;
  EXPECT_EQ(all.find("error"), std::string::npos) << all;
}

// Waits until the program has said something about its work.
bool WaitFor(const Process& process, const std::string& text) {
  for (int i = 0; i < 600; ++i) {
    if (process.Err().find(text) != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

// All files of a folder, by name.
std::map<std::string, std::string> Contents(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& e : fs::directory_iterator(folder))
    out[e.path().filename()] = ReadFile(e.path());
  return out;
}

TEST(Cli, InterruptedQuantizationGoesOn) {
  const testing::ScratchFolder folder;
  const auto args = [&](const std::string& out, const std::string& more = "") {
    std::vector<std::string> a = {"quantize",
                                  kDemo,
                                  "-o",
                                  folder.path() / out,
                                  "--method",
                                  "gptq",
                                  "--max-calib-samples",
                                  "4",
                                  "--max-calib-seq-len",
                                  "64"};
    if (!more.empty()) a.push_back(more);
    return a;
  };
  ASSERT_EQ(Awq(args("straight")).status, 0);
  const std::string partial = folder.path() / "q.partial";
  for (const int signal : {SIGINT, SIGTERM}) {
    const Process process(args("q", "--resume"));
    ASSERT_TRUE(WaitFor(process, signal == SIGINT ? "layer 3/8" : "layer 5/8"));
    process.Signal(signal);
    const Result r = process.Wait();
    EXPECT_EQ(r.status, 75);
    EXPECT_NE(r.err.find("awq: stopped; " + partial + " keeps "), std::string::npos) << r.err;
    EXPECT_TRUE(r.err.ends_with("of 8 layers; the same command with --resume goes on\n")) << r.err;
    EXPECT_FALSE(fs::exists(folder.path() / "q"));
  }
  Fails(args("q"), 2, "--resume goes on with it, --restart discards it");
  auto other = args("q", "--resume");
  other.insert(other.end(), {"--group-size", "32"});
  Fails(other, 2, "options.group_size: the interrupted run had 128, this one has 32");
  const fs::path journal = fs::path(partial) / "journal.jsonl";
  const std::string lines = ReadFile(journal);
  WriteFileAtomically(
      journal, std::regex_replace(lines, std::regex("(\"build\":)\"[0-9a-f]+\""), "$1\"another\""));
  Fails(args("q", "--resume"), 2, "written by build another, this is build ");
  WriteFileAtomically(journal, lines);
  const Process killed(args("q", "--resume"));
  ASSERT_TRUE(WaitFor(killed, "layer 7/8"));
  killed.Signal(SIGKILL);
  killed.Wait();
  EXPECT_EQ(Awq(args("q", "--resume")).status, 0);
  EXPECT_EQ(Contents(folder.path() / "q"), Contents(folder.path() / "straight"));
  EXPECT_FALSE(fs::exists(partial));
  const Result again = Awq(args("q", "--resume"));
  EXPECT_EQ(again.status, 0);
  EXPECT_NE(again.out.find("is complete already"), std::string::npos) << again.out;
  Fails(args("q"), 2, "output exists");
}

TEST(Cli, QuantizationStoppedInItsFirstLayerWritesNothing) {
  const testing::ScratchFolder folder;
  const Process process({"quantize", kDemo, "-o", folder.path() / "q", "--method", "awq",
                         "--max-calib-samples", "64"});
  // The journal's first line is written when everything has been read.
  for (int i = 0; i < 6000 && !fs::exists(folder.path() / "q.partial" / "journal.jsonl"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  process.Signal(SIGINT);
  const Result r = process.Wait();
  EXPECT_EQ(r.status, 75);
  EXPECT_NE(r.err.find("nothing was written\n"), std::string::npos) << r.err;
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Cli, InterruptedGenerationStops) {
  const Process process({"run", kDemo, "-p", "The", "-n", "2000", "--ignore-eos"});
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  process.Signal(SIGINT);
  const Result r = process.Wait();
  EXPECT_EQ(r.status, 130);
  EXPECT_TRUE(r.err.ends_with("awq: error: cancelled\n")) << r.err;
}

}  // namespace
}  // namespace awq
