"""Every registered reconstructor, preprocessing and phantom keeps the contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchsuite import contract_suite, registry


@pytest.mark.parametrize("name", registry.names("reconstructor"))
@pytest.mark.parametrize("check", contract_suite.RECONSTRUCTOR_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_reconstructor(name, check):
    check(registry.reconstructor(name))


@pytest.mark.parametrize("name", registry.names("preprocessing"))
def test_preprocessing(name):
    contract_suite.check_preprocessing(registry.preprocessing(name))


@pytest.mark.parametrize("name", [name for name in registry.names("phantom") if name != "file"])
def test_phantom(name):
    cls = registry.phantom(name)
    contract_suite.check_phantom(cls(cls.Params()))


def test_the_suite_notices_what_is_wrong():
    resire = registry.reconstructor("resire")

    class Mirrored(resire):
        def reconstruct(self, series, context):
            for item in super().reconstruct(series, context):
                yield type(item)(item.iteration, item.loss, volume=np.ascontiguousarray(item.volume[::-1]))

    class Random(resire):
        def reconstruct(self, series, context):
            for item in super().reconstruct(series, context):
                noise = np.random.default_rng().random(item.volume.shape, dtype=np.float32)
                yield type(item)(item.iteration, item.loss, volume=item.volume + 1e-6 * noise)

    class Forgetful(registry.reconstructor("lot")):
        def reconstruct(self, series, context):
            yield from super().reconstruct(series, replace(context, start=None))

    with pytest.raises(AssertionError, match="the first iterate"):
        contract_suite.check_refines(Forgetful)
    with pytest.raises(AssertionError):
        contract_suite.check_recovers(Mirrored)
    with pytest.raises(AssertionError, match="differ"):
        contract_suite.check_deterministic(Random)


@pytest.mark.gpu
@pytest.mark.parametrize("name", [n for n in registry.names("reconstructor") if "cuda" in registry.reconstructor(n).devices])
def test_cpu_and_gpu_agree(name):
    from benchsuite.contract import Context
    from benchsuite.physics.backend import gpu_available, to_host

    if not gpu_available():
        pytest.skip("no CUDA device")
    series, grid = contract_suite.problem_for(registry.reconstructor(name))
    answers = []
    for device in ("cpu", "cuda"):
        context = Context(grid, np.random.default_rng(0), device)
        answers.append(list(registry.reconstructor(name)().reconstruct(series, context))[-1])
    if answers[0].atoms is not None:
        cpu, gpu = (answer.atoms.positions for answer in answers)
        assert len(cpu) == len(gpu)
        assert np.linalg.norm(cpu[:, None] - gpu, axis=2).min(axis=1).max() < 0.01
    else:
        cpu, gpu = (to_host(answer.volume) for answer in answers)
        assert np.abs(cpu - gpu).max() < 1e-3 * np.abs(cpu).max()
