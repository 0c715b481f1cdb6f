"""Gaussians on a plane: splat and gather as compiled loops.

    plane[y, x] += a exp(−((x − u)² + (y − v)²)/b)

within a square that holds all but exp(−CUT) of the peak. The exponential is a product of two one-dimensional ones, each made by
the recurrence exp(−(t + 1)²/b) = exp(−t²/b) · exp(−(2t + 1)/b), so that an atom costs five exponentials whatever its width. The
loops over a row are vector code. Atoms are added one after the other: equal input gives equal bits.
"""

from __future__ import annotations

import numpy as np

from benchsuite.compiled import compiled

CUT = 12.0
LARGEST = 256  # pixels of the square of one atom


@compiled
def _profile(centre, width, length, values, start_and_count):  # type: ignore[no-untyped-def]
    """Fill `values` with the Gaussian along one axis of `length` pixels; set where it starts and how many pixels it has.

    It has none far outside, nor where `centre` is not a number, of which an index cannot be made.
    """
    start_and_count[:] = 0
    if not -LARGEST < centre < length + LARGEST:
        return
    reach = min(int(np.sqrt(CUT * width)) + 1, LARGEST // 2 - 1)
    nearest = int(np.floor(centre + 0.5))
    first, last = max(nearest - reach, 0), min(nearest + reach, length - 1)
    start_and_count[0], start_and_count[1] = first, max(last - first + 1, 0)
    t, inverse = first - centre, 1.0 / width
    value, ratio, step = np.exp(-t * t * inverse), np.exp(-(2 * t + 1) * inverse), np.exp(-2 * inverse)
    for k in range(start_and_count[1]):
        values[k] = value
        value *= ratio
        ratio *= step


@compiled
def splat(plane, atoms, u, v, peak, width):  # type: ignore[no-untyped-def]
    """Add the Gaussians of the listed atoms to `plane` (ny, nx) float32.

    u, v: centres in pixels (column, row); peak: heights; width: b in pixels². What lies outside the plane is cut off.
    """
    across, down = np.empty(LARGEST, np.float32), np.empty(LARGEST, np.float32)
    x, y = np.empty(2, np.int64), np.empty(2, np.int64)
    for i in atoms:
        _profile(u[i], width[i], plane.shape[1], across, x)
        _profile(v[i], width[i], plane.shape[0], down, y)
        for row in range(y[1]):
            line, height = plane[y[0] + row], np.float32(peak[i] * down[row])
            for column in range(x[1]):
                line[x[0] + column] += height * across[column]


@compiled
def gather(plane, atoms, u, v, width, sums):  # type: ignore[no-untyped-def]
    """Set sums[i] = Σ g G, Σ g G (x − u), Σ g G (y − v), Σ g G ρ² of each listed atom: G the plane, g its unit Gaussian."""
    across, down = np.empty(LARGEST, np.float32), np.empty(LARGEST, np.float32)
    plain, first, second = np.empty(LARGEST, np.float32), np.empty(LARGEST, np.float32), np.empty(LARGEST, np.float32)
    x, y = np.empty(2, np.int64), np.empty(2, np.int64)
    for i in atoms:
        _profile(u[i], width[i], plane.shape[1], across, x)
        _profile(v[i], width[i], plane.shape[0], down, y)
        columns = x[1]
        plain[:columns] = 0
        first[:columns] = 0
        second[:columns] = 0
        for row in range(y[1]):
            line, g = plane[y[0] + row], down[row]
            distance = np.float32(y[0] + row - v[i])
            along, squared = g * distance, g * distance * distance
            for column in range(columns):
                value = line[x[0] + column]
                plain[column] += g * value
                first[column] += along * value
                second[column] += squared * value
        whole, by_x, by_y, by_square = 0.0, 0.0, 0.0, 0.0
        for column in range(columns):
            distance = np.float32(x[0] + column - u[i])
            g = across[column]
            whole += g * plain[column]
            by_x += g * distance * plain[column]
            by_y += g * first[column]
            by_square += g * (second[column] + distance * distance * plain[column])
        sums[i, 0], sums[i, 1], sums[i, 2], sums[i, 3] = whole, by_x, by_y, by_square


@compiled
def in_slices(depth, first_depth, thickness, count):  # type: ignore[no-untyped-def]
    """Return (atoms ordered by slice, where each of `count` slices starts (count + 1,)) for depths (n,); the ends hold the rest."""
    which = np.empty(len(depth), np.int64)
    start = np.zeros(count + 1, np.int64)
    for i in range(len(depth)):
        k = int(np.floor((depth[i] - first_depth) / thickness))
        which[i] = min(max(k, 0), count - 1)
        start[which[i] + 1] += 1
    for k in range(count):
        start[k + 1] += start[k]
    order, free = np.empty(len(depth), np.int64), start[:-1].copy()
    for i in range(len(depth)):
        order[free[which[i]]] = i
        free[which[i]] += 1
    return order, start


@compiled
def add_product(total, spectrum, transfer):  # type: ignore[no-untyped-def]
    """total += spectrum · transfer, along flat arrays."""
    for i in range(len(total)):
        total[i] += spectrum[i] * transfer[i]


@compiled
def add_power(total, spectrum):  # type: ignore[no-untyped-def]
    """total += |spectrum|², along flat arrays."""
    for i in range(len(total)):
        total[i] += spectrum[i].real ** 2 + spectrum[i].imag ** 2


@compiled
def set_product(target, spectrum, transfer, factor):  # type: ignore[no-untyped-def]
    """target = factor · spectrum · conj(transfer), along flat arrays."""
    for i in range(len(target)):
        target[i] = factor * spectrum[i] * np.conj(transfer[i])


@compiled
def to_gradient(sums, u, v, w, peak, width, rotation, pixel, gradient, view):  # type: ignore[no-untyped-def]
    """Turn the sums of one image into derivatives, added to `gradient` (n, 5): x, y, z, weight, B; and to `view` (5,).

    u, v, w: laboratory positions about the centre in Å; peak = weight/(π width) and width are those that were splat, in Å;
    view: derivatives by drift x, y and by small rotations about the laboratory's x, y, z.
    """
    for i in range(len(sums)):
        a, b = peak[i], width[i]
        along_u = 2 * a / b * sums[i, 1] * pixel
        along_v = 2 * a / b * sums[i, 2] * pixel
        for axis in range(3):
            gradient[i, axis] += rotation[0, axis] * along_u + rotation[1, axis] * along_v
        gradient[i, 3] += sums[i, 0] / (np.pi * b)
        gradient[i, 4] += a / b * (sums[i, 3] * pixel * pixel / b - sums[i, 0])
        view[0] += along_u
        view[1] += along_v
        view[2] -= along_v * w[i]
        view[3] += along_u * w[i]
        view[4] += along_v * u[i] - along_u * v[i]
