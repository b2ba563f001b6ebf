#!/usr/bin/env python3
"""Lists how two checkpoint folders differ: config.json and generation_config.json field by field, tensors by name,
type, shape and bytes, other files by presence. Standard library only.

    tools/compare_checkpoints.py OURS THEIRS         exit status 1 if they differ
"""

import hashlib
import json
import pathlib
import struct
import sys


def fields(value, path=""):
    """Leaves of a JSON value by path."""
    if isinstance(value, dict) and value:
        return {
            k: v for key, child in value.items() for k, v in fields(child, f"{path}.{key}" if path else key).items()
        }
    return {path: value}


def tensors(folder):
    """name → (dtype, shape, hash of the bytes) over all safetensors files that the checkpoint uses."""
    index = folder / "model.safetensors.index.json"
    files = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {"model.safetensors"}
    found = {}
    for file in sorted(files):
        data = (folder / file).read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            found[name] = (entry["dtype"], tuple(entry["shape"]), hashlib.sha256(data[begin:end]).hexdigest()[:12])
    return found


def compare(title, ours, theirs, show=lambda v: json.dumps(v, ensure_ascii=False)):
    """Prints what only one side has and what differs; returns how many."""
    lines = []
    for key in sorted(ours.keys() | theirs.keys()):
        if key not in theirs:
            lines.append(f"  {key}: only ours, {show(ours[key])}")
        elif key not in ours:
            lines.append(f"  {key}: only theirs, {show(theirs[key])}")
        elif ours[key] != theirs[key]:
            lines.append(f"  {key}: ours {show(ours[key])}, theirs {show(theirs[key])}")
    print(f"{title}: {len(lines)} differences" + "".join("\n" + line for line in lines))
    return len(lines)


def read_fields(file):
    return fields(json.loads(file.read_text())) if file.exists() else {}


def layout(found):
    return {name: entry[:2] for name, entry in found.items()}


def listing(folder):
    return {file.name: "" for file in folder.iterdir() if file.is_file()}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ours, theirs = map(pathlib.Path, sys.argv[1:])
    differences = 0
    for name in ("config.json", "generation_config.json"):
        differences += compare(name, read_fields(ours / name), read_fields(theirs / name))
    a, b = tensors(ours), tensors(theirs)
    differences += compare(
        "tensor names, types, shapes", layout(a), layout(b), lambda entry: f"{entry[0]} {list(entry[1])}"
    )
    equal = {}
    for name in a.keys() & b.keys():
        equal.setdefault(name.rpartition(".")[2], []).append(a[name][2] == b[name][2])
    print("equal bytes: " + ", ".join(f"{part} {sum(same)}/{len(same)}" for part, same in sorted(equal.items())))
    differences += compare("files", listing(ours), listing(theirs), lambda _: "present")
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
