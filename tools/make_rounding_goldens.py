"""Writes testdata/rounding.json: what the steps of the joint method must give, in float64 NumPy, from formulas other
than those of the program (GPTQ by the inverse's upper Cholesky factor, solves by LU, descent one column at a time).

    python3 tools/make_rounding_goldens.py
"""
import json
import pathlib

import numpy as np

DAMP = 0.01


def hessian(x):
    gram = x.T @ x
    return gram + DAMP * np.mean(np.diag(gram)) * np.eye(len(gram))


def grids(w, group, bits):
    """Scales (float16 values) and zeros of ranges that include zero."""
    n, k = w.shape
    v = w.reshape(n, k // group, group)
    lo, hi = np.minimum(v.min(-1), 0), np.maximum(v.max(-1), 0)
    top = 2**bits - 1
    scale = ((hi - lo) / top).astype(np.float16).astype(np.float64)
    return scale, np.clip(np.rint(-lo / scale), 0, top)


def nearest(value, scale, zero, top):
    return np.clip(np.rint(value / scale), -zero, top - zero)


def gptq(w, h, scale, zero, group, top):
    """The algorithm of the GPTQ paper: columns by falling diagonal, errors spread by the inverse's factor."""
    order = np.argsort(-np.diag(h), kind="stable")
    u = np.linalg.cholesky(np.linalg.inv(h[np.ix_(order, order)])).T
    w = w[:, order].copy()
    steps = np.zeros_like(w)
    for i, column in enumerate(order):
        g = column // group
        steps[:, i] = nearest(w[:, i], scale[:, g], zero[:, g], top)
        error = (w[:, i] - steps[:, i] * scale[:, g]) / u[i, i]
        w[:, i:] -= np.outer(error, u[i, i:])
    out = np.zeros_like(steps)
    out[:, order] = steps
    return out


def descend(w, h, steps, scale, zero, group, top):
    steps = steps.copy()
    wide = np.repeat(scale, group, axis=1)
    for j in range(w.shape[1]):
        error = w - steps * wide
        best = steps[:, j] * wide[:, j] + error @ h[:, j] / h[j, j]
        steps[:, j] = nearest(best, wide[:, j], zero[:, j // group], top)
    return steps


def refit(w, h, steps, scale, group):
    """The least-squares scales, damped towards the present ones, in float16."""
    groups = scale.shape[1]
    out = scale.copy()
    for r in range(len(w)):
        c = np.zeros((groups, w.shape[1]))
        for g in range(groups):
            c[g, g * group : (g + 1) * group] = steps[r, g * group : (g + 1) * group]
        a, b = c @ h @ c.T, c @ h @ w[r]
        extra = 0.01 * np.diag(a) + 1e-9 * np.mean(np.diag(a))
        s = np.linalg.solve(a + np.diag(extra), b + extra * scale[r])
        s = np.where((s > 0.5 * scale[r]) & (s < 2 * scale[r]), s, scale[r])
        s = s.astype(np.float16).astype(np.float64)
        objective = lambda v: v @ a @ v - 2 * b @ v
        if objective(s) < objective(scale[r]):
            out[r] = s
    return out


def make_case(seed, n, k, tokens, group, bits, spread):
    random = np.random.default_rng(seed)
    mix = random.normal(size=(k, k)) / np.sqrt(k) + np.eye(k)
    full = (random.normal(size=(tokens, k)) @ mix) * np.exp(spread * random.normal(size=k))
    x = (full + 0.1 * random.normal(size=full.shape) * np.abs(full).mean()).astype(np.float32).astype(np.float64)
    w = random.normal(size=(n, k)).astype(np.float32).astype(np.float64)
    gram, drift = x.T @ x, (full - x).T @ x
    h = hessian(x)
    target = w + 0.5 * w @ drift @ np.linalg.inv(h)
    scale, zero = grids(target, group, bits)
    top = 2**bits - 1
    rounded = gptq(target, h, scale, zero, group, top)
    descended = descend(target, h, rounded, scale, zero, group, top)
    refitted = refit(target, h, descended, scale, group)
    floats = lambda a: [float(f"{v:.9g}") for v in a.ravel()]
    return {
        "n": n, "k": k, "group": group, "bits": bits,
        "w": floats(w), "gram": floats(gram), "drift": floats(drift), "target": floats(target),
        "scales": floats(scale), "zeros": floats(zero), "rounded": floats(rounded),
        "descended": floats(descended), "refitted": floats(refitted),
    }


def main():
    cases = [
        make_case(1, 5, 24, 200, 8, 4, 0.5),
        make_case(2, 3, 32, 12, 16, 4, 1.0),  # fewer tokens than columns
        make_case(3, 2, 160, 400, 32, 4, 0.7),  # more than one block of columns
        make_case(4, 4, 16, 100, 16, 8, 2.0),
    ]
    out = pathlib.Path(__file__).parent.parent / "testdata" / "rounding.json"
    out.write_text(json.dumps(cases))
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
