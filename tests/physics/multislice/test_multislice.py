"""The multislice kernel: gradients, energy, windows, both engines, and abTEM on the same potential."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.data import Optics
from benchsuite.physics.electrons import interaction_per_VA, wavelength_A
from benchsuite.physics.fft import fftw
from benchsuite.physics.multislice.model import Multislice
from benchsuite.physics.multislice.noise_model import AMPLITUDE, Poisson
from benchsuite.physics.multislice.waves import WaveGrid, band_limit
from benchsuite.physics.probe import aperture_function, incoherent_modes, orthogonal

WAVELENGTH, PIXEL, SLICE, SLICES, FULL = wavelength_A(300), 0.4, 1.6, 5, 64
OPTICS = Optics(300.0, 21.0, {"C30": 2.0e5, "C12": 30.0, "phi12_deg": 20.0})


def kernel(window=FULL, detector=(FULL, FULL), **more):
    return Multislice(WaveGrid(WAVELENGTH, PIXEL, SLICE, SLICES, FULL, detector, window), **more)


def aperture(defocus_A=-200.0, modes=1):
    coherent = aperture_function(OPTICS, defocus_A, FULL, PIXEL, WAVELENGTH)
    return coherent if modes == 1 else incoherent_modes(coherent, modes)


def phases(seed, strength=0.3, side=FULL):
    """Smooth random slices, rad."""
    q = np.fft.fftfreq(side, PIXEL)
    low = np.exp(-((q[:, None] ** 2 + q**2) / 0.4**2))
    noise = np.random.default_rng(seed).normal(size=(SLICES, side, side))
    smooth = np.fft.ifft2(np.fft.fft2(noise) * low).real
    return (strength * smooth / smooth.std()).astype(np.float32)


def problem(model, probes=9, seed=1, modes=1):
    positions = np.random.default_rng(seed).uniform(-6, 6, (probes, 2))
    corners, offsets = model.grid.window_origins(positions, (FULL, FULL))
    return corners, offsets, model.waves(aperture(modes=modes), offsets)


def order(steps, remainders):
    return np.polyfit(np.log(steps), np.log(np.abs(remainders)), 1)[0]


@pytest.mark.parametrize(("window", "detector"), [(64, (64, 64)), (48, (64, 64)), (40, (50, 36)), (33, (63, 40))])
@pytest.mark.parametrize("noise", [AMPLITUDE, Poisson(1e-5)], ids=["amplitude", "poisson"])
@pytest.mark.parametrize("modes", [1, 3])
def test_both_engines_agree(window, detector, noise, modes):
    answers = []
    for compiled in (True, False):
        model = kernel(window, detector, compiled=compiled, threads=2)
        corners, _, waves = problem(model, modes=modes)
        patterns = model.intensities(model.transmission(phases(0)), corners, waves)
        measured = np.sqrt(patterns) if noise.takes_roots else patterns
        loss, gradient, ends = model.gradient(model.transmission(phases(1)), corners, waves, measured, noise, ends="per_probe")
        answers.append((patterns, loss, gradient, *ends))
    assert fftw.available()
    for compiled, plain in zip(*answers, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=0, atol=1e-4 * np.abs(plain).max())


@pytest.mark.parametrize("window", [64, 48])
@pytest.mark.parametrize("noise", [AMPLITUDE, Poisson(1e-5)], ids=["amplitude", "poisson"])
@pytest.mark.parametrize("modes", [1, 2])
def test_the_gradient_of_the_potential_passes_the_taylor_test(window, noise, modes):
    model = kernel(window, (60, 64))
    corners, _, waves = problem(model, modes=modes)
    target = model.intensities(model.transmission(phases(0)), corners, waves)
    measured = np.sqrt(target) if noise.takes_roots else target
    start, direction = phases(1), phases(2)

    def loss(phase):
        return model.gradient(model.transmission(phase), corners, waves, measured, noise)

    at_start, gradient, _ = loss(start)
    slope = float((model.grid.unpadded(gradient) * direction).sum(dtype=np.float64))
    steps = np.array([0.08, 0.04, 0.02, 0.01]) / (1 if noise.takes_roots else 4)
    remainders = [loss(start + np.float32(h) * direction)[0].sum() - at_start.sum() - h * slope for h in steps]
    assert order(steps, remainders) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("window", [64, 48])
@pytest.mark.parametrize("modes", [1, 2])
def test_the_gradients_of_probe_and_positions_pass_the_taylor_test(window, modes):
    model, probe = kernel(window, (60, 64)), aperture(modes=modes)
    corners, offsets, waves = problem(model, modes=modes)
    measured = np.sqrt(model.intensities(model.transmission(phases(0)), corners, waves))
    transmission = model.transmission(phases(1))

    def loss(a, shifts):
        return model.gradient(transmission, corners, model.waves(a, offsets + shifts), measured)[0].sum()

    at_start, _, ends = model.gradient(transmission, corners, waves, measured, ends="per_probe")
    of_probe, _ = model.refinement_gradients(probe, offsets, *ends)
    rng = np.random.default_rng(3)
    change = (np.abs(probe) * (rng.normal(size=probe.shape) + 1j * rng.normal(size=probe.shape))).astype(np.complex64)
    slope = 2 * float((of_probe.conj() * change).real.sum(dtype=np.float64))
    steps = np.array([0.2, 0.1, 0.05, 0.025])
    remainders = [loss(probe + np.float32(h) * change, 0.0) - at_start.sum() - h * slope for h in steps]
    assert order(steps, remainders) == pytest.approx(2.0, abs=0.1)
    # positions: near the specimen's own minimum, where the curvature is positive for every probe
    transmission = model.transmission(phases(0, 0.1))
    measured = np.sqrt(model.intensities(transmission, corners, waves))
    away = 0.02 * rng.normal(size=offsets.shape)
    at_start, _, ends = model.gradient(transmission, corners, model.waves(probe, offsets + away), measured, ends="per_probe")
    _, of_positions = model.refinement_gradients(probe, offsets + away, *ends)
    moves = rng.normal(size=offsets.shape)
    slope = float((of_positions * moves).sum())
    steps = np.array([0.08, 0.04, 0.02])
    remainders = [loss(probe, away + h * moves) - at_start.sum() - h * slope for h in steps]
    assert order(steps, remainders) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize(("window", "detector"), [(64, (64, 64)), (48, (60, 64))])
@pytest.mark.parametrize("compiled", [True, False])
def test_sums_of_a_kind_give_the_gradient_of_the_aperture(modes, window, detector, compiled):
    model, probe = kernel(window, detector, compiled=compiled), aperture(modes=modes)
    corners, offsets = model.grid.window_origins(np.random.default_rng(2).integers(-8, 8, (40, 2)) * PIXEL / 2, (FULL, FULL))
    waves = model.waves(probe, offsets)
    assert len(waves.shifts_A) == 4
    transmission = model.transmission(phases(1))
    measured = np.sqrt(model.intensities(model.transmission(phases(0)), corners, waves))
    each = model.gradient(transmission, corners, waves, measured, ends="per_probe")[2]
    there = np.random.default_rng(0).permutation(40)
    loss, _, sums = model.gradient(transmission, corners, waves, measured[np.argsort(there)], ends="summed", pattern_index=there)
    expected = model.refinement_gradients(probe, offsets, *each)[0].reshape(modes, FULL, FULL)
    found = model.aperture_gradient(waves.shifts_A, *sums)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    np.testing.assert_allclose(loss, model.gradient(transmission, corners, waves, measured)[0], rtol=1e-5)


def test_modes_that_do_not_interfere_add_up():
    """I = Σ|Ψ_m|², whatever unitary mixture of them is taken."""
    model, probes = kernel(48), aperture(modes=3)
    np.testing.assert_allclose(
        abs(np.einsum("myx,nyx->mn", probes, probes.conj()) - np.diag((abs(probes) ** 2).sum(axis=(1, 2)))), 0, atol=1e-6
    )
    corners, offsets, together = problem(model, modes=3)
    transmission = model.transmission(phases(0))
    patterns = model.intensities(transmission, corners, together)
    apart = sum(model.intensities(transmission, corners, model.waves(probe, offsets)) for probe in probes)
    np.testing.assert_allclose(patterns, apart, rtol=0, atol=1e-6 * patterns.max())
    mixture = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3, 2)).view(np.complex128)[..., 0])[0]
    mixed = np.einsum("mn,nyx->myx", mixture, probes).astype(np.complex64)
    np.testing.assert_allclose(
        model.intensities(transmission, corners, model.waves(mixed, offsets)), patterns, rtol=0, atol=1e-6 * patterns.max()
    )
    np.testing.assert_allclose((abs(orthogonal(mixed)) ** 2).sum(axis=(1, 2)), (abs(probes) ** 2).sum(axis=(1, 2)), rtol=1e-4)


def test_likelihood_is_unbiased_by_counting_noise_unlike_amplitudes():
    """At the truth and with less than an electron per pixel, the mean slope of the loss in the intensity must vanish."""
    model, electrons = kernel(), 1500.0
    corners, _, waves = problem(model, probes=4)
    transmission = model.transmission(phases(0))
    expected = model.intensities(transmission, corners, waves)
    rng, slopes = np.random.default_rng(0), {AMPLITUDE: [], Poisson(0.03 / electrons): []}
    for _ in range(60):
        counts = (rng.poisson(expected * electrons) / electrons).astype(np.float32)
        for noise, found in slopes.items():
            measured = np.sqrt(counts) if noise.takes_roots else counts
            up, down = (model.gradient(transmission, corners, waves.scaled(1 + h), measured, noise)[0].sum() for h in (0.05, -0.05))
            found.append((up - down) / 0.1)
    bias = {noise: np.mean(found) / (np.std(found) / np.sqrt(len(found))) for noise, found in slopes.items()}
    assert abs(bias[Poisson(0.03 / electrons)]) < 4
    assert bias[AMPLITUDE] > 20


def test_electrons_are_neither_made_nor_lost():
    model = kernel()
    corners, _, waves = problem(model)
    totals = model.intensities(model.transmission(phases(0, strength=1.0)), corners, waves).sum(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(totals, 1.0, atol=5e-6)


@pytest.mark.parametrize("window", [48, 40, 32])
def test_a_window_is_exact_in_vacuum_and_near_it_with_a_specimen(window):
    whole, part = kernel(), kernel(window)
    vacuum, specimen = np.zeros((SLICES, FULL, FULL), np.float32), phases(0)
    answers = {}
    for model in (whole, part):
        corners, _, waves = problem(model)
        answers[model.grid.window_px] = [
            model.intensities(model.transmission(phase), corners, waves) for phase in (vacuum, specimen)
        ]
    (empty, full), (empty_part, full_part) = answers[FULL], answers[window]
    np.testing.assert_allclose(empty_part, empty, atol=1e-5 * empty.max())
    assert np.abs(full_part - full).sum() / full.sum() < {48: 0.05, 40: 0.08, 32: 0.12}[window]


def test_a_probe_moved_by_a_pixel_sees_the_specimen_moved_back():
    model = kernel(48)
    waves_at = (
        model.grid.window_origins(np.array([[0.4, 0.0]]), (FULL, FULL)),
        model.grid.window_origins(np.array([[0.0, 0.0]]), (FULL, FULL)),
    )
    specimen = phases(0)
    patterns = []
    for (corners, offsets), phase in zip(waves_at, (specimen, np.roll(specimen, -1, axis=2)), strict=True):
        assert np.abs(offsets).max() < 1e-9
        patterns.append(model.intensities(model.transmission(phase), corners, model.waves(aperture(), offsets)))
    np.testing.assert_allclose(patterns[0], patterns[1], rtol=0, atol=2e-6 * patterns[0].max())


def test_the_answer_does_not_depend_on_the_threads():
    answers = []
    for threads in (1, 3):
        model = kernel(48, threads=threads)
        corners, _, waves = problem(model, probes=21)
        measured = np.sqrt(model.intensities(model.transmission(phases(0)), corners, waves))
        answers.append(model.gradient(model.transmission(phases(1)), corners, waves, measured))
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    np.testing.assert_array_equal(answers[0][1], answers[1][1])


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"a window of 80 and a detector of \(64, 64\) pixels must fit a field of 64"):
        kernel(80)
    with pytest.raises(ValueError, match=r"the probe at \(20.00, 0.00\) Å is outside the volume"):
        kernel().grid.window_origins(np.array([[0.0, 0.0], [20.0, 0.0]]), (FULL, FULL))


def test_the_interaction_constant_is_that_of_the_textbook():
    assert interaction_per_VA(300) == pytest.approx(6.526e-4, rel=1e-3)  # Kirkland (2020), at 300 kV


@pytest.mark.parametrize("defocus", [-200.0, 35.0])
def test_probe_and_patterns_are_those_of_abtem(defocus):
    """The same potential at the same sampling: abTEM's probe, propagation and band limits against ours (single precision)."""
    import abtem
    from ase import Atoms

    from benchsuite.microscope.scattering import abtem_session

    box, pixels = 12.8, 96
    atoms = Atoms("AuCuO", [[5.0, 6.1, 1.0], [7.4, 6.0, 3.2], [6.5, 7.9, 5.1]], cell=[box, box, 6.0])
    with abtem_session("cpu"):
        potential = abtem.Potential(atoms, gpts=pixels, slice_thickness=2.0, projection="infinite").build(lazy=False)
        probe = abtem.Probe(energy=300e3, semiangle_cutoff=21, defocus=defocus, C30=2.0e5, C12=30.0, phi12=np.deg2rad(20.0))
        probe.grid.match(potential)
        positions = np.array([[5.2, 6.0], [6.4, 6.4], [8.11, 7.03]])
        detector = abtem.PixelatedDetector(max_angle=24.0)
        theirs = probe.scan(potential, scan=abtem.CustomScan(positions), detectors=detector, lazy=False)
    theirs = np.asarray(theirs.array).swapaxes(1, 2)
    pixel, count = box / pixels, theirs.shape[1]
    model = Multislice(WaveGrid(WAVELENGTH, pixel, 2.0, 3, pixels, (count, count), band_limit=2 / 3))
    q = np.fft.fftfreq(pixels, pixel)
    mask = band_limit(q[:, None] ** 2 + q**2, pixel, 2 / 3)
    phase = interaction_per_VA(300) * np.asarray(potential.array).swapaxes(1, 2)
    limited = np.fft.ifft2(np.fft.fft2(np.exp(1j * phase)) * mask).astype(np.complex64)
    periodic = np.pad(
        limited, ((0, 0), (model.grid.pad_px, model.grid.pad_px), (model.grid.pad_px, model.grid.pad_px)), mode="wrap"
    )
    corners, offsets = model.grid.window_origins(positions - box / 2, (pixels, pixels))
    ours = model.intensities(periodic, corners, model.waves(aperture_function(OPTICS, defocus, pixels, pixel, WAVELENGTH), offsets))
    ours = np.fft.fftshift(ours, axes=(1, 2))
    assert np.abs(ours - theirs).max() < 5e-5 * theirs.max()


@pytest.mark.gpu
def test_the_gpu_computes_what_the_cpu_computes():
    from benchsuite.physics.backend import gpu_available, module_for, to_host

    if not gpu_available():
        pytest.skip("no CUDA device")
    answers = []
    for xp in (np, module_for("cuda")):
        model = kernel(48, (60, 64), xp=xp)
        corners, offsets = model.grid.window_origins(np.random.default_rng(1).uniform(-6, 6, (9, 2)), (FULL, FULL))
        waves = model.waves(xp.asarray(aperture()), offsets)
        patterns = model.intensities(model.transmission(xp.asarray(phases(0))), corners, waves)
        loss, gradient, _ = model.gradient(model.transmission(xp.asarray(phases(1))), corners, waves, xp.sqrt(patterns))
        answers.append([to_host(array) for array in (patterns, loss, gradient)])
    for cpu, gpu in zip(*answers, strict=True):
        np.testing.assert_allclose(gpu, cpu, atol=1e-4 * np.abs(cpu).max())
