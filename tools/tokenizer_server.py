"""awq_tokenize --serve as a Python object: our tokenizers of many folders in one process."""
import struct
import subprocess

import numpy


class Server:
    def __init__(self, program, folders):
        self.process = subprocess.Popen([program, "--serve", *map(str, folders)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, tokenizer, operation, data):
        out = self.process.stdin
        out.write(struct.pack("<IcI", tokenizer, operation, len(data)) + data)
        out.flush()
        head = self.process.stdout.read(5)
        if len(head) < 5:
            raise RuntimeError(f"awq_tokenize ended with {self.process.wait()}")
        error, size = struct.unpack("<BI", head)
        answer = self.process.stdout.read(size)
        if error:
            raise ValueError(answer.decode())
        return answer

    def encode(self, tokenizer, text, special=True):
        return numpy.frombuffer(self(tokenizer, b"e" if special else b"p", text.encode()), dtype="<i4").tolist()

    def decode(self, tokenizer, ids, skip_special, stream=False):
        operation = {(False, False): b"d", (True, False): b"k", (False, True): b"s", (True, True): b"t"}[skip_special, stream]
        return self(tokenizer, operation, numpy.array(ids, dtype="<i4").tobytes()).decode()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
