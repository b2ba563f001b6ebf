#!/usr/bin/env bash
# Reads every #include "awq/…" line against the table of who may include whom (docs/architecture.md).
#   scripts/check_includes.sh [ROOT]      prints each forbidden include; exit 1 if there is one
set -euo pipefail
root=${1:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$root"

mapfile -t files < <(find awq -type f \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) | sort)
[ ${#files[@]} -gt 0 ] || { echo "check_includes: no sources under $root/awq" >&2; exit 1; }

awk '
function allow(folder, folders) { may[folder] = folders; order[folder] = ++ladder }
function folder_of(path,   part) { split(path, part, "/"); return part[2] }
function backend_of(path,   part) { split(path, part, "/"); return part[2] == "backend" && part[4] != "" ? part[3] : "" }
function complain(why) { printf "%s:%d: %s: %s\n", FILENAME, FNR, $2, why; bad = 1 }
function allowed(from, to) { return from == to || index(" " may[from] " ", " " to " ") > 0 }

BEGIN {
  FS = "[\"<>]"
  # Lowest first. A folder may always include itself.
  allow("base", "")
  allow("model", "base")
  allow("pack", "base")
  allow("text", "base")
  allow("dist", "base")
  allow("vision", "base model")
  allow("ops", "base pack")
  allow("backend", "base pack ops")
  allow("checkpoint", "base model pack")
  allow("nn", "base model pack ops dist checkpoint")
  allow("quant", "base model pack text dist vision ops checkpoint nn")
  allow("runtime", "base model pack text dist vision ops checkpoint nn")
  allow("api", "base model pack text dist vision ops backend checkpoint nn quant runtime")
  allow("server", "base api")
  allow("python", "base api")
  allow("cli", "base api server")
}

FNR == 1 {
  from = folder_of(FILENAME)
  # Tests build what they need from any folder that is not above theirs.
  test = FILENAME ~ /_(test|bench)\.(cc|cu)$|\/testing\//
  if (!(from in may)) { printf "%s: folder %s is not in the table of scripts/check_includes.sh\n", FILENAME, from; bad = 1 }
}

/^[ \t]*#[ \t]*include[ \t]*"/ && $2 !~ /^awq\// {
  sibling = FILENAME; sub(/[^\/]*$/, $2, sibling)
  if (system("test -e \"" sibling "\"") == 0) complain("write it as \"" sibling "\"")
}

/^[ \t]*#[ \t]*include[ \t]*["<]awq\// && from in may {
  to = folder_of($2)
  if (!(to in may)) complain("no such folder")
  else if (test ? order[to] > order[from] : !allowed(from, to))
    complain(test ? "a test of " from " may include what is below " from : \
      from " may include " (may[from] == "" ? "no other folder" : "only " may[from]))

  # The public headers are those of api, less api/internal, and base/error.h.
  if (FILENAME ~ /^awq\/api\/[^\/]*\.h$/ && to == "api" && $2 ~ /^awq\/api\/internal\//)
    complain("a public header may not include what is internal")
  if (FILENAME ~ /^awq\/api\/[^\/]*\.h$/ && to != "api" && $2 != "awq/base/error.h")
    complain("a public header may include awq/api/… and awq/base/error.h alone")

  # make_backend.cc alone names concrete backends; cpu and cuda may build on ref.
  backend = backend_of($2); within = backend_of(FILENAME)
  if (backend != "" && backend != within && !test && FILENAME != "awq/backend/make_backend.cc" && !(backend == "ref" && within != ""))
    complain("only make_backend.cc names concrete backends")
  if (FILENAME ~ /^awq\/backend\/cuda\/device\// && $2 !~ /^awq\/backend\/cuda\/device\// && $2 != "awq/ops/args.h")
    complain("device code sees only device/ and ops/args.h")
}

END { exit bad }
' "${files[@]}"
